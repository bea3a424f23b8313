#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/result.hpp"
#include "sam3trt/video.hpp"

namespace sam3trt {

/// What a whole model makes of prompts that point at objects.
struct ObjectRun {
  /// Of each image: every mask that the model offers for a click, two clicks, a box and a mask.
  std::vector<ImageResult> images;
  /// Of each frame of the drawn clip (built_in_images.hpp), in order; none where the model does not
  /// track or no frame was wanted.
  std::optional<std::vector<FrameResult>> frames;
};

struct ObjectRunOptions {
  std::string text;      ///< That is looked for in the clip, beside its two shapes.
  int64_t frames = 0;    ///< Of the clip; 0: it is not tracked.
  std::stop_token stop;  ///< Ends the run, which then throws StoppedError.
};

/// Runs a model that takes clicks. In the clip the disc is followed from a click and the square
/// from a box, both corrected by a click on the 28th frame, and at most two objects of the text.
[[nodiscard]] ObjectRun run_objects(const Model& model, std::span<const Image> images,
                                    const ObjectRunOptions& options);

}  // namespace sam3trt
