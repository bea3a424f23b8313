#pragma once

#include "image/image.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// The image with a result's masks, example boxes and labels ("text score") drawn over it. With one
/// prompt each instance has a colour of its own, with several each prompt has one that its
/// instances vary.
[[nodiscard]] Image draw_result(const Image& image, const ImageResult& result);

}  // namespace sam3trt
