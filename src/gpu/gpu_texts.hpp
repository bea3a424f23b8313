#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gpu/gpu_model.hpp"
#include "gpu/gpu_stage.hpp"
#include "gpu/uploader.hpp"

namespace sam3trt {

/// Embeddings of texts in device memory; each text is encoded once. A text whose encoding is queued
/// is new until keep_new() or forget_new(): the session keeps it when the call's work is done, and
/// forgets it when the call fails, because nobody knows then what was computed.
class GpuTexts {
 public:
  /// `capacity` texts are kept, at least as many as go through the detector at once.
  GpuTexts(const GpuModel& model, size_t capacity);

  /// Throws Error(kBadInput) for a text that can no longer be encoded.
  void check(const PreparedCall& call) const;

  void keep_new() { new_.clear(); }
  void forget_new();

  /// Encodes the texts of the call and gives up the encoder; others are then Error(kBadInput).
  /// False when there are more texts than the capacity: nothing is done then.
  [[nodiscard]] bool keep_only(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                               const PreparedCall& call);

  /// Puts `text_features` [P, L, D] of the batch into the stream's work; the address stays the
  /// same.
  DevicePointer features(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                         const PromptBatch& batch, const PreparedCall& call);

 private:
  using Texts = std::vector<std::string>;

  void encode(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
              std::span<const std::string> texts, const PreparedCall& call);
  void encode_missing(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                      const Texts& texts, const PreparedCall& call);
  [[nodiscard]] Texts missing(const Texts& texts) const;

  const GpuModel& model_;
  std::optional<GpuStage> stage_;  ///< None after keep_only.
  size_t capacity_;
  size_t row_bytes_;
  DeviceBuffer pool_;
  DeviceBuffer batch_;
  std::map<std::string, size_t, std::less<>> slots_;  ///< Of the pool, by text.
  Texts new_;                                         ///< The last of slots_.
};

}  // namespace sam3trt
