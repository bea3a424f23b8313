#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "base/error.hpp"
#include "image/image.hpp"

namespace sam3trt {

/// Any bytes for one decoder: an error, or an image of the size it says.
template <typename Decode>
void fuzz_decoder(const Decode& decode, const uint8_t* data, size_t size) {
  // Large images only cost time here.
  constexpr int64_t kMaxPixels = int64_t{1} << 18;
  try {
    const Image image =
        decode(std::as_bytes(std::span(data, size)), std::string("fuzz"), kMaxPixels);
    if (image.width <= 0 || image.height <= 0 || image.width * image.height > kMaxPixels ||
        image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
      std::abort();
    }
  } catch (const Error&) {
    // Refused, as most inputs are.
  }
}

}  // namespace sam3trt
