// Any bytes as a picture file: an error, or a picture of the size it says, which can be resized and
// written as PNG.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/image.hpp"
#include "image/resize.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Large pictures only cost time here.
  constexpr int64_t kMaxPixels = int64_t{1} << 18;
  try {
    const sam3trt::Image image =
        sam3trt::decode_image(std::as_bytes(std::span(data, size)), "fuzz", kMaxPixels);
    if (image.width <= 0 || image.height <= 0 || image.width * image.height > kMaxPixels ||
        image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
      std::abort();
    }
    if (sam3trt::resize_antialias(image, 9, 7).rgb.size() != 9 * 7 * 3) std::abort();
    if (image.width * image.height > 4096) return 0;
    const auto png = sam3trt::encode_png(image);
    if (sam3trt::decode_image(png, "again").rgb != image.rgb) std::abort();
  } catch (const sam3trt::Error&) {
    // Refused, as most inputs are.
  }
  return 0;
}
