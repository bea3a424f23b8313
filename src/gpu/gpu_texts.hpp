#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/gpu_stage.hpp"
#include "gpu/uploader.hpp"
#include "runtime/model_files.hpp"
#include "runtime/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// Embeddings of texts in device memory; each text is encoded once. A text whose encoding is queued
/// is new until keep_new() or forget_new(): the session keeps it when the call's work is done, and
/// forgets it when the call fails, because nobody knows then what was computed.
class GpuTexts {
 public:
  /// `capacity` texts are kept, at least as many as go through the detector at once.
  GpuTexts(const CudaDevice& device, GpuStage stage, const Tokenizer& tokenizer,
           const ModelConfig& config, Semantics semantics, size_t capacity);

  /// Of `text_features`.
  [[nodiscard]] DType type() const { return type_; }

  /// Throws Error(kBadInput) for a text that can no longer be encoded.
  void check(std::span<const Prompt> prompts) const;

  void keep_new() { new_.clear(); }
  void forget_new();

  /// Encodes the texts of these prompts and frees the encoder; others are then Error(kBadInput).
  /// False when there are more texts than the capacity: nothing is done then.
  [[nodiscard]] bool keep_only(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                               std::span<const Prompt> prompts);

  /// Puts `text_features` [P, L, D] of the prompts into the stream's work; the address stays the
  /// same for at most `max_prompts` prompts.
  DevicePointer features(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                         std::span<const Prompt> prompts, size_t max_prompts);

  /// L values per prompt of the last call of features().
  [[nodiscard]] std::vector<std::vector<float>> masks(std::span<const Prompt> prompts) const;

 private:
  struct Text {
    size_t slot = 0;
    std::vector<float> mask;
  };

  void encode(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
              std::span<const std::string> texts);
  void encode_missing(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                      std::span<const Prompt> prompts);
  [[nodiscard]] std::vector<std::string> missing(std::span<const Prompt> prompts) const;

  std::optional<GpuStage> stage_;  ///< None after keep_only.
  DType type_;
  const Tokenizer& tokenizer_;
  ModelConfig config_;
  Semantics semantics_;
  size_t capacity_;
  size_t row_bytes_;
  DeviceBuffer pool_;
  DeviceBuffer batch_;
  std::map<std::string, Text, std::less<>> texts_;
  std::vector<std::string> new_;  ///< The last of texts_ by slot.
};

}  // namespace sam3trt
