// The kernels: which thread runs which body, and where a block waits. Bodies, shapes and units are
// in the headers beside this file.
#include "cuda/kernels/above.hpp"
#include "cuda/kernels/clean.hpp"
#include "cuda/kernels/count.hpp"
#include "cuda/kernels/enlarge.hpp"
#include "cuda/kernels/kept.hpp"
#include "cuda/kernels/mask.hpp"
#include "cuda/kernels/overlap.hpp"
#include "cuda/kernels/resize.hpp"
#include "cuda/kernels/select.hpp"
#include "image/pack_pixels.hpp"

namespace {

__device__ sam3trt::KernelThread here() {
  return {threadIdx.x, blockIdx.x, blockIdx.y, blockIdx.z, gridDim.y};
}

}  // namespace

extern "C" {

__global__ void sam3trt_resize_columns(const __grid_constant__ sam3trt::ResizeArgs args) {
  sam3trt::resize_columns_body(args, here());
}

__global__ void sam3trt_resize_rows(const __grid_constant__ sam3trt::ResizeArgs args) {
  if (args.half) {
    sam3trt::resize_rows_body<uint16_t>(args, here());
  } else {
    sam3trt::resize_rows_body<float>(args, here());
  }
}

__global__ void sam3trt_pack(const __grid_constant__ sam3trt::PackArgs args) {
  const sam3trt::KernelThread at = here();
  if (at.x() >= args.width) return;
  for (int64_t y = at.block_y; y < args.height; y += at.blocks_y) {
    sam3trt::pack_pixel(args, at.x(), y);
  }
}

__global__ void sam3trt_select(const __grid_constant__ sam3trt::SelectArgs args) {
  __shared__ float scores[sam3trt::kMaxQueries];
  sam3trt::select_score_body(args, here(), scores);
  __syncthreads();
  sam3trt::select_write_body(args, here(), scores);
}

__global__ void sam3trt_find_nonfinite(const __grid_constant__ sam3trt::FiniteArgs args) {
  sam3trt::find_nonfinite_body(args, here());
}

__global__ void sam3trt_count(const __grid_constant__ sam3trt::CountArgs args) {
  __shared__ sam3trt::CountSums sums;
  sam3trt::count_part_body(args, here(), sums);
  __syncthreads();
  sam3trt::count_sum_body(args, here(), sums);
}

__global__ void sam3trt_above(const __grid_constant__ sam3trt::AboveArgs args) {
  sam3trt::above_body(args, here());
}

__global__ void sam3trt_clean_words(const __grid_constant__ sam3trt::CleanArgs args) {
  sam3trt::clean_words_body(args, here());
}

__global__ void sam3trt_clean_begin(const __grid_constant__ sam3trt::CleanArgs args) {
  sam3trt::clean_begin_body(args, here());
}

__global__ void sam3trt_clean_join(const __grid_constant__ sam3trt::CleanArgs args) {
  sam3trt::clean_join_body(args, here());
}

__global__ void sam3trt_clean_count(const __grid_constant__ sam3trt::CleanArgs args) {
  sam3trt::clean_count_body(args, here());
}

__global__ void sam3trt_clean_apply(const __grid_constant__ sam3trt::CleanArgs args) {
  sam3trt::clean_apply_body(args, here());
}

__global__ void sam3trt_won(const __grid_constant__ sam3trt::WonArgs args) {
  sam3trt::won_body(args, here());
}

__global__ void sam3trt_lower(const __grid_constant__ sam3trt::LowerArgs args) {
  sam3trt::lower_body(args, here());
}

__global__ void sam3trt_mask_sigmoid(const __grid_constant__ sam3trt::MaskArgs args) {
  sam3trt::mask_sigmoid_body(args, here());
}

__global__ void sam3trt_mask_bits(const __grid_constant__ sam3trt::MaskArgs args) {
  sam3trt::mask_bits_body(args, here());
}

__global__ void sam3trt_mask_count(const __grid_constant__ sam3trt::MaskArgs args) {
  sam3trt::mask_count_body(args, here());
}

__global__ void sam3trt_mask_scan_columns(const __grid_constant__ sam3trt::MaskArgs args) {
  __shared__ sam3trt::MaskSums sums;
  sam3trt::mask_sum_columns_body(args, here(), sums);
  __syncthreads();
  sam3trt::mask_scan_columns_body(args, here(), sums);
}

__global__ void sam3trt_mask_scan_tasks(const __grid_constant__ sam3trt::MaskArgs args) {
  __shared__ sam3trt::MaskSums sums;
  sam3trt::mask_sum_tasks_body(args, here(), sums);
  __syncthreads();
  sam3trt::mask_scan_tasks_body(args, here(), sums);
}

__global__ void sam3trt_mask_write(const __grid_constant__ sam3trt::MaskArgs args) {
  sam3trt::mask_write_body(args, here());
}

__global__ void sam3trt_keep_rows(const __grid_constant__ sam3trt::KeepArgs args) {
  sam3trt::keep_rows_body(args, here());
}

__global__ void sam3trt_gather_rows(const __grid_constant__ sam3trt::GatherArgs args) {
  sam3trt::gather_rows_body(args, here());
}

__global__ void sam3trt_enlarge(const __grid_constant__ sam3trt::EnlargeArgs args) {
  sam3trt::enlarge_body(args, here());
}

}  // extern "C"
