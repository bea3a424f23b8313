#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "runtime/backend.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// The tracker on a backend: which component runs when, on what, in which batches. Objects with
/// equally many tokens and, where the backend does not want padding, remembered frames and pointers
/// go through a component together. Calls belong between Backend::begin() and end(), the first of
/// them being encode().
class BackendTracker : public TrackerModel {
 public:
  /// For a model whose configuration has a tracker. The backend and the tokenizer must outlive it.
  BackendTracker(Backend& backend, const Tokenizer& tokenizer, const ModelConfig& config,
                 Semantics semantics);

  [[nodiscard]] const TrackSizes& sizes() const override { return sizes_; }
  void encode(const ImageView& image) override;
  [[nodiscard]] std::vector<std::vector<TrackerDetection>> detect(std::span<const Prompt> concepts,
                                                                  std::array<int64_t, 2> size,
                                                                  float threshold) override;
  [[nodiscard]] std::vector<DecodeOutput> decode(std::span<const DecodeInput> objects,
                                                 MaskPlace masks) override;
  [[nodiscard]] std::vector<LogitMask> clean(std::span<const LogitPlane> masks,
                                             int64_t max_area) override;
  [[nodiscard]] std::vector<int64_t> won_areas(std::span<const LogitPlane> masks) override {
    return backend_.won_areas(masks);
  }
  [[nodiscard]] std::vector<LogitPlane> lowered(std::span<const LogitPlane> masks,
                                                float most) override {
    return backend_.lowered_planes(masks, most);
  }
  [[nodiscard]] std::vector<FrameMask> frame_masks(std::span<const LogitPlane> logits,
                                                   std::array<int64_t, 2> size) override;
  [[nodiscard]] std::vector<FrameMemory> remember(std::span<const MemoryInput> masks) override;
  /// Also outside of Backend::begin() and end().
  [[nodiscard]] FrameMemory restore(std::span<const uint16_t> memory) override {
    return backend_.restore(memory);
  }

 private:
  using Group = std::span<const DecodeInput* const>;

  void run_detector(const PromptBatch& batch, const PreparedCall& call);
  [[nodiscard]] int64_t slots_for(size_t count);
  [[nodiscard]] std::vector<TrackerDetection> read_masks(size_t row,
                                                         std::span<const Detection> detections);
  [[nodiscard]] std::vector<DecodeOutput> decode_group(Group group, MaskPlace masks);
  [[nodiscard]] std::vector<DecodeOutput> read_decoded(Group group, MaskPlace place);
  [[nodiscard]] std::vector<LogitPlane> decoder_planes(std::vector<size_t> planes,
                                                       MaskPlace place) const;
  [[nodiscard]] const LogitPlane& absent_mask(MaskPlace place);
  void put_features(Group group);
  [[nodiscard]] std::array<int64_t, 2> padded_memories();
  void put_memories(Group group);
  void put_masks(Group group);
  [[nodiscard]] AxisSizes sizes_with(std::initializer_list<AxisSizes::value_type> more) const;

  Backend& backend_;
  const Tokenizer& tokenizer_;
  ModelConfig config_;
  Semantics semantics_;
  TrackSizes sizes_;
  AxisSizes axes_;
  FrameFeatures features_ = FrameFeatures::kNoMemory;  ///< What `object_features` are now.
  std::map<MaskPlace, LogitPlane> absent_;             ///< Masks of an object that is not there.
  int64_t slots_ = 0;                                  ///< Of the mask head's last call.
};

}  // namespace sam3trt
