#pragma once

#include <nanobind/nanobind.h>

#include "parts.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt::python {

/// What every result of an image has: "error", an exception, and nothing else where it failed; else
/// that is None, and "width", "height" and "timings_ms" are there.
[[nodiscard]] inline nb::dict dict_of(const ImageResult& image) {
  nb::dict result;
  if (image.error) {
    result["error"] = make_exception(image.error_code, *image.error);
    return result;
  }
  nb::dict timings;
  timings["decode"] = image.timings_ms.decode;
  timings["preprocess"] = image.timings_ms.preprocess;
  timings["vision_encoder"] = image.timings_ms.vision_encoder;
  timings["detector"] = image.timings_ms.detector;
  timings["postprocess"] = image.timings_ms.postprocess;
  result["error"] = nb::none();
  result["width"] = image.width;
  result["height"] = image.height;
  result["timings_ms"] = timings;
  return result;
}

}  // namespace sam3trt::python
