#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sam3trt {

inline constexpr int kGlyphWidth = 5;
inline constexpr int kGlyphHeight = 9;  ///< Seven rows above the base line, two below.

/// One byte per row from the top; bit 4 is the leftmost pixel.
using Glyph = std::array<uint8_t, kGlyphHeight>;

/// The glyph of a printable ASCII character; that of '?' for any other.
[[nodiscard]] const Glyph& glyph_of(char c);

}  // namespace sam3trt
