#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/backend.hpp"
#include "sam3trt/request.hpp"

namespace sam3trt {

/// What is pointed at in one image.
struct ImagePointers {
  std::array<int64_t, 2> size{};  ///< Width and height in pixels.
  std::span<const ObjectPrompt> objects;
};

/// Throws Error(kBadInput) for objects that their image cannot have, or logits of an earlier result
/// of another model (their side is not `mask_side`).
void check_image_objects(const ImagePointers& image, int64_t mask_side);

/// Clicks, boxes and masks on single images, as Hugging Face's Sam3TrackerModel and Meta's
/// interactive predictor take them: no memory, and the object score does not touch the mask.
class ImageObjects {
 public:
  /// For a model whose configuration has a tracker.
  ImageObjects(const ModelConfig& config, Semantics semantics);

  /// One list of results per image of `features`, which the backend uses (Backend::use_features),
  /// between begin() and end(). The neck runs only when the features are not those of the last
  /// call. Throws Error(kInternal) for numbers that are not finite.
  [[nodiscard]] std::vector<std::vector<ObjectResult>> run(Backend& backend,
                                                           const FeatureStore& features,
                                                           std::span<const ImagePointers> images,
                                                           const InteractOptions& options);

  /// Masks of everything in image `index` of the features, as run() is called.
  [[nodiscard]] std::vector<ObjectResult> everything(Backend& backend, const FeatureStore& features,
                                                     std::span<const ImagePointers> images,
                                                     size_t index,
                                                     const EverythingOptions& options);

  [[nodiscard]] int64_t mask_side() const { return 4 * config_.grid; }

 private:
  struct Group;

  void run_neck(Backend& backend, const FeatureStore& features, size_t images);
  void decode(Backend& backend, const Group& group, size_t images) const;
  [[nodiscard]] std::vector<Group> group_objects(const ImagePointers& image, size_t index,
                                                 size_t together) const;
  void read_grid(Backend& backend, const Group& group, const EverythingOptions& options,
                 std::vector<ObjectResult>& found) const;
  [[nodiscard]] std::vector<FoundMask> make_masks(Backend& backend,
                                                  std::span<const MaskPlane> wanted,
                                                  int64_t planes) const;
  void read_results(Backend& backend, const Group& group, const InteractOptions& options,
                    std::vector<ObjectResult>& results) const;

  ModelConfig config_;
  Semantics semantics_;
  AxisSizes sizes_;
  std::optional<uint64_t> neck_of_;  ///< FeatureStore::id whose neck outputs the backend holds.
};

}  // namespace sam3trt
