#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

/// A PNG file of one byte per pixel that names a colour of the palette of PASCAL VOC and DAVIS, in
/// which 0 is black. `indices` is height x width, row-major. Throws Error(kInternal) for another
/// size.
[[nodiscard]] std::vector<std::byte> encode_palette_png(std::span<const uint8_t> indices,
                                                        int64_t width, int64_t height);

}  // namespace sam3trt
