#pragma once

#include <algorithm>
#include <cstdint>

namespace sam3trt {

/// A CMYK channel as red, green or blue: light - ink * light / 255 with `light` 255 less the black,
/// rounded as Pillow does (Convert.c, cmyk2rgb). Both are 0..255.
[[nodiscard]] inline uint8_t ink_to_light(int ink, int light) {
  const int product = ink * light + 128;
  return static_cast<uint8_t>(std::max(light - ((product + (product >> 8)) >> 8), 0));
}

}  // namespace sam3trt
