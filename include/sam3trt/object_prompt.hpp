#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// A click, in pixels of the original image: on the object, or on what is not part of it.
struct ObjectPoint {
  double x = 0;
  double y = 0;
  bool positive = true;
  /// No click, and nowhere: what transformers' processors fill up objects with that have fewer
  /// clicks than others. It counts as one of the points.
  bool padding = false;
};

/// A mask of an image's size as run lengths: by columns, outside and inside in turn, beginning with
/// outside, as COCO has them. They must add up to width * height.
struct ObjectMask {
  int64_t width = 0;  ///< Pixels.
  int64_t height = 0;
  std::vector<uint32_t> counts;
};

/// The mask logits that a result gives for refinement: side x side, row-major, float32.
struct MaskLogits {
  int64_t side = 0;  ///< 4 times the grid of the model: 288 for the published one.
  std::vector<float> values;
};

/// What points at one object: clicks, a box around it, a mask of it, or several of these. At least
/// one must be there.
struct ObjectPrompt {
  int64_t id = 1;
  std::vector<ObjectPoint> points;
  std::optional<PixelBox> box;
  std::optional<ObjectMask> mask;
  /// Of an earlier result for the same object, which the other prompts refine; only for images, not
  /// beside `mask`.
  std::optional<MaskLogits> previous;
};

}  // namespace sam3trt
