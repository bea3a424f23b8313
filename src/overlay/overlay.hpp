#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "image/image.hpp"

namespace sam3trt {

using Color = std::array<uint8_t, 3>;

/// The i-th of an endless list of well separated colours.
[[nodiscard]] Color palette_color(size_t index);

/// The i-th of the colours around `base`: the first is `base`, others are lighter or darker and of
/// a neighbouring hue, so that instances of one concept differ and still belong together.
[[nodiscard]] Color shade_of(Color base, size_t index);

struct OverlayInstance {
  std::span<const uint32_t> counts;  ///< Run lengths of the mask (image/rle.hpp).
  std::array<double, 4> box{};       ///< x0, y0, x1, y1 in pixels: where the label belongs.
  Color color{};
  std::string label{};  ///< UTF-8; none when empty.
};

/// An example box, drawn as a frame.
struct OverlayBox {
  std::array<double, 4> box{};  ///< x0, y0, x1, y1 in pixels; clipped to the image.
  Color color{};
};

struct OverlayOptions {
  double opacity = 0.45;       ///< Of the tint of a mask, 0 to 1.
  bool built_in_font = false;  ///< Cairo's own letters, ASCII only, as where no font is installed.
};

/// Draws on the image: each mask tinted and outlined, then the boxes, then the labels, which stay
/// inside the image and where there is room do not hide each other. Earlier instances lie over
/// later ones and get the better places. Line width and letter size follow the image's size; an
/// image that is smaller than a letter gets no labels. Throws Error(kBadInput) for run lengths that
/// do not fill the image. Uses one thread; calls in several threads at once are allowed.
void draw_overlay(Image& image, std::span<const OverlayInstance> instances,
                  std::span<const OverlayBox> boxes, const OverlayOptions& options = {});

}  // namespace sam3trt
