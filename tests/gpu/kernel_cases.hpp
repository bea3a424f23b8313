#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>

#include "cuda/device.hpp"

namespace sam3trt {

/// One comparison of a kernel with the CPU path.
struct CaseResult {
  std::string name;
  uint64_t values = 0;     ///< How many were compared.
  uint64_t differing = 0;  ///< How many are not equal.
  double largest = 0;      ///< Largest difference; for masks, of a resized value to the cut.
  bool passed = false;
  double microseconds = 0;  ///< GPU time of the kernels, when it was asked for.
};

/// The larger difference; NaN is larger than all numbers.
inline double larger(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

struct CaseOptions {
  /// Whether results must equal the CPU's to the bit. On a GPU a sigmoid may differ in its last
  /// places (base/sigmoid.hpp); what does not depend on a sigmoid must be equal anyway.
  bool exact = false;
  int timed_launches = 0;
};

/// Runs all cases on the device and reports each.
void run_kernel_cases(const CudaDevice& device, const CaseOptions& options,
                      const std::function<void(const CaseResult&)>& report);

/// The same of what moves and resizes the tracker's memories.
void run_kept_cases(const CudaDevice& device, const CaseOptions& options,
                    const std::function<void(const CaseResult&)>& report);

/// The same of what cleans masks.
void run_clean_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report);

/// The same of what tells which masks win where they overlap.
void run_overlap_cases(const CudaDevice& device, const CaseOptions& options,
                       const std::function<void(const CaseResult&)>& report);

/// The same of the attention kernels, against attention in float64; those of full size only when
/// launches are timed.
void run_attention_cases(const CudaDevice& device, const CaseOptions& options,
                         const std::function<void(const CaseResult&)>& report);

/// The same of attention without rotation.
void run_plain_attention_cases(const CudaDevice& device, const CaseOptions& options,
                               const std::function<void(const CaseResult&)>& report);

/// The same of the attention to the cells of a grid.
void run_grid_attention_cases(const CudaDevice& device, const CaseOptions& options,
                              const std::function<void(const CaseResult&)>& report);

/// The same of attention to memories.
void run_memory_attention_cases(const CudaDevice& device, const CaseOptions& options,
                                const std::function<void(const CaseResult&)>& report);

/// The same of the bias of attention to a grid.
void run_box_bias_cases(const CudaDevice& device, const CaseOptions& options,
                        const std::function<void(const CaseResult&)>& report);

/// The same of what tells the decoder's queries where their boxes lie.
void run_query_position_cases(const CudaDevice& device, const CaseOptions& options,
                              const std::function<void(const CaseResult&)>& report);

/// The same of residual sums and their LayerNormalization.
void run_residual_norm_cases(const CudaDevice& device, const CaseOptions& options,
                             const std::function<void(const CaseResult&)>& report);

/// The same of what stands between the mask head's convolutions.
void run_pixel_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report);

/// The same of what stands at both ends of the vision encoder.
void run_patch_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report);

}  // namespace sam3trt
