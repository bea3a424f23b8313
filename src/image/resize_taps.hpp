#pragma once

#include <cstdint>
#include <vector>

#include "base/host_device.hpp"

namespace sam3trt {

/// Taps of one axis of the antialiased resize. Output i is the sum of `size[i]` inputs from
/// `first[i]` on, weighted by weights[i * stride ...], in units of 2^-precision, plus half a unit;
/// `tap_sum_to_byte` ends it.
struct ResizeTaps {
  std::vector<int64_t> first;
  std::vector<int64_t> size;
  std::vector<int16_t> weights;
  int64_t stride = 0;
  int precision = 0;
};

/// The triangle filter of PyTorch's `_upsample_bilinear2d_aa` on uint8 (UpSampleKernel.cpp):
/// weights in double precision, then rounded to int16 with as many fractional bits as the largest
/// weight leaves room for, at most 22. Throws Error(kBadInput), before it takes memory, for sizes
/// below 1 or above kMaxImageSide.
[[nodiscard]] ResizeTaps make_resize_taps(int64_t in_size, int64_t out_size);

[[nodiscard]] SAM3TRT_HOST_DEVICE inline uint8_t tap_sum_to_byte(int32_t sum, int precision) {
  const int32_t value = sum >> precision;
  return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
}

/// Taps of output `index` of the antialiased resize of floats, as PyTorch computes them: what is
/// not stored goes through double precision. Returns their number, at most `stride`, of inputs from
/// `first` on; `scale` is float(in_size) / float(out_size).
[[nodiscard]] SAM3TRT_HOST_DEVICE inline int64_t float_taps(float scale, int64_t index,
                                                            int64_t in_size, int64_t stride,
                                                            int64_t& first, float* weights) {
  const float support = scale > 1.0F ? scale : 1.0F;
  const double inverse = 1.0F / support;
  const auto center =
      static_cast<float>(static_cast<double>(scale) * (static_cast<double>(index) + 0.5));
  // Truncated, not rounded, as the reference does it.
  const double low = static_cast<double>(center - support) + 0.5;
  const double high = static_cast<double>(center + support) + 0.5;
  const auto begin = static_cast<int64_t>(low);
  const auto behind = static_cast<int64_t>(high);
  first = begin > 0 ? begin : 0;
  const int64_t end = behind < in_size ? behind : in_size;
  const int64_t size = end < first ? 0 : end - first > stride ? stride : end - first;
  float total = 0;
  SAM3TRT_UNROLL
  for (int64_t j = 0; j < stride; ++j) {  // which a kernel knows, so that weights are in registers
    if (j >= size) break;
    const float offset = static_cast<float>(j + first) - center;
    const auto distance = static_cast<float>((static_cast<double>(offset) + 0.5) * inverse);
    const float weight = 1.0F - (distance < 0.0F ? -distance : distance);
    weights[j] = weight > 0.0F ? weight : 0.0F;
    total += weights[j];
  }
  SAM3TRT_UNROLL
  for (int64_t j = 0; j < stride; ++j) {
    if (j < size && total != 0.0F) weights[j] /= total;
  }
  return size;
}

/// Whether PyTorch's kernel adds tap j of `size` with one rounding: it takes them in fours after
/// the first, and those are rounded before they are added.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline bool is_fused_tap(int64_t j, int64_t size) {
  return j > (size - 1) / 4 * 4;
}

[[nodiscard]] SAM3TRT_HOST_DEVICE inline float add_tap(float sum, float value, float weight,
                                                       bool fused) {
  if (!fused) return sum + value * weight;
  return static_cast<float>(static_cast<double>(sum) +
                            static_cast<double>(value) * static_cast<double>(weight));
}

/// The two inputs of one output of the plain bilinear resize, and their weights.
struct BilinearTap {
  int64_t low = 0;
  int64_t high = 0;
  float weight_low = 0;
  float weight_high = 0;
};

/// PyTorch's compute_source_index_and_lambda in float, align_corners = False; `scale` is
/// float(in_size) / float(out_size).
[[nodiscard]] SAM3TRT_HOST_DEVICE inline BilinearTap bilinear_tap(float scale, int64_t index,
                                                                  int64_t in_size) {
  const float exact = scale * (static_cast<float>(index) + 0.5F) - 0.5F;
  const float position = exact < 0.0F ? 0.0F : exact;
  const auto whole = static_cast<int64_t>(position);
  BilinearTap tap;
  tap.low = whole < in_size - 1 ? whole : in_size - 1;
  tap.high = tap.low + 1 < in_size - 1 ? tap.low + 1 : in_size - 1;
  const float rest = position - static_cast<float>(tap.low);
  tap.weight_high = rest > 1.0F ? 1.0F : rest;
  tap.weight_low = 1.0F - tap.weight_high;
  return tap;
}

}  // namespace sam3trt
