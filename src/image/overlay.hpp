#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "image/image.hpp"

namespace sam3trt {

using Color = std::array<uint8_t, 3>;

/// The i-th of an endless list of well separated colours.
[[nodiscard]] Color palette_color(size_t index);

/// Tints the pixels of `mask` (height x width bytes, non-zero is inside), draws the mask's outline
/// and, at the box's upper left corner (x0, y0 in pixels, kept inside the picture), a label of
/// printable ASCII; other characters appear as '?'. Line width and text size follow the picture's
/// size.
void draw_instance(Image& image, std::span<const uint8_t> mask, double x0, double y0, Color color,
                   std::string_view label);

/// Draws a label alone, above the corner (x0, y0) where there is room, else below it. Text that is
/// too wide for the picture becomes smaller, then shorter; a picture too small for a letter gets
/// none. With several instances, labels drawn last are not covered by later masks.
void draw_label(Image& image, double x0, double y0, Color color, std::string_view label);

/// Draws a rectangle (x0, y0, x1, y1 in pixels, clipped), for example an exemplar box.
void draw_box(Image& image, const std::array<double, 4>& box_xyxy, Color color);

}  // namespace sam3trt
