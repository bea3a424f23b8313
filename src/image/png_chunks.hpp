#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "image/orientation.hpp"

namespace sam3trt {

/// What the chunks of a PNG file say beside its pixels.
struct PngChunks {
  std::span<const std::byte> pixels;  ///< From the signature to the end of the last IDAT's data.
  std::vector<std::byte> tail;        ///< Follows `pixels`: the checksum and a chunk IEND.
  OrientationMarks marks;             ///< From eXIf and texts, those after the pixels too.
};

/// Walks the chunks. A file that ends behind its pixel data is complete; one that ends before or
/// inside them throws Error(kBadInput). Texts are unpacked up to a mebibyte each; larger ones and
/// damaged ones are passed over.
[[nodiscard]] PngChunks read_png_chunks(std::span<const std::byte> bytes, const std::string& name);

}  // namespace sam3trt
