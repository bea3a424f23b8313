#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace sam3trt {

/// One axis of torchvision's `roi_align` (aligned=False, sampling_ratio=-1, spatial_scale 1) as an
/// averaging matrix, so that pooled = Wy * F * Wx^T exactly: every bin is the mean of
/// ceil(length / bins) bilinear samples per axis; length is at least one cell; samples before -1 or
/// beyond `cells` count as zero, others are clamped to the cells. Single precision as in
/// torchvision, because rounding decides how many samples a bin has.
/// `start`, `end`: the box's sides in cells. `matrix`: bins x cells, row-major; every element is
/// written. Throws Error(kBadInput) for sides that are not finite or farther than 2^20 cells away.
void fill_roi_weights(float start, float end, int64_t bins, int64_t cells, std::span<float> matrix);

/// Both axes for a box (centre x, centre y, width, height in 0..1) on a grid of cells x cells, with
/// the box's corners computed as Hugging Face's Sam3GeometryEncoder does.
void fill_roi_weights(const std::array<float, 4>& box_cxcywh, int64_t bins, int64_t cells,
                      std::span<float> pool_y, std::span<float> pool_x);

}  // namespace sam3trt
