#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/tensor.hpp"
#include "image/image.hpp"

namespace sam3trt {

/// Antialiased bilinear resize on 8-bit values, aspect ratio not kept, as torchvision's v2 resize
/// does on uint8 tensors: separable triangle filter, support max(in/out, 1), centre (i + 0.5) *
/// in/out, weights renormalised at the borders, rounding to 8 bits after each pass.
[[nodiscard]] Image resize_antialias(const Image& image, int64_t width, int64_t height);

/// What a pixel's red, green or blue value 0..255 becomes in the model's input.
using PixelTable = std::array<std::array<float, 256>, 3>;

/// (value * rescale_factor - mean) / std per channel.
[[nodiscard]] PixelTable make_pixel_table(double rescale_factor, const std::array<double, 3>& mean,
                                          const std::array<double, 3>& std);

/// [1, 3, height, width] float32: make_pixel_table's entries.
[[nodiscard]] Tensor to_pixel_values(const Image& image, double rescale_factor,
                                     const std::array<double, 3>& mean,
                                     const std::array<double, 3>& std);

/// Bilinear resize of one plane of floats, align_corners = False, no antialias, as PyTorch's
/// `interpolate(mode="bilinear")`. `source` is in_height x in_width, `target` out_height x
/// out_width.
void resize_bilinear(std::span<const float> source, int64_t in_height, int64_t in_width,
                     std::span<float> target, int64_t out_height, int64_t out_width);

/// The same with antialias, as PyTorch's `interpolate(mode="bilinear", antialias=True)`, and to the
/// last bit what its CPU kernel gives where it has fused multiply-add: binary masks are resized by
/// it and compared with 0.5, which some of them meet.
void resize_bilinear_antialias(std::span<const float> source, int64_t in_height, int64_t in_width,
                               std::span<float> target, int64_t out_height, int64_t out_width);

}  // namespace sam3trt
