#pragma once

#include "image/image.hpp"
#include "runtime/prompt.hpp"
#include "sam3trt/request.hpp"

namespace sam3trt {

/// Throws Error(kBadInput) unless the image is there, has at least one pixel and at most
/// kMaxImagePixels, rows that do not overlap, and as many bytes as that takes.
void check_image(const ImageView& image);

/// Throws Error(kBadInput) when a threshold is not a number.
void check_thresholds(const Thresholds& thresholds);

/// The pixels as an RGB image of the host. Throws Error(kBadInput) for an image in device memory.
[[nodiscard]] Image to_image(const ImageView& view);

}  // namespace sam3trt
