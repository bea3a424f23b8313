#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/tensor.hpp"
#include "cuda/cublaslt.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {

/// A product, or the two of an MLP, with what stands before and after them.
struct ProductCase {
  DType type = DType::kF16;
  bool fp8 = false;
  bool normalised = false;
  bool residual = false;
  bool fast_sums = false;
  int64_t rows = 0;
  int64_t inputs = 0;
  int64_t outputs = 0;  ///< Of an MLP: its hidden values.

  [[nodiscard]] std::string name() const;
};

/// What a case found besides.
struct ProductResult : CaseResult {
  double rms = 0;         ///< Of the differences, relative to that of the results.
  double rms_exact = 0;   ///< The same to factors that are not rounded, and GELU with erf.
  double rms_erf = 0;     ///< MLP: to GELU with erf, its factors rounded.
  std::string algorithm;  ///< Of an MLP: of both.
};

/// Runs the operator kProduct once and compares it with float64.
[[nodiscard]] ProductResult run_product_case(const CudaDevice& device, const CublasLt& library,
                                             const ProductCase& sizes);

/// The same of the operator kMlp.
[[nodiscard]] ProductResult run_mlp_case(const CudaDevice& device, const CublasLt& library,
                                         const ProductCase& sizes);

/// Small cases of both, sizes at the edges of what is possible among them.
void run_product_cases(const CudaDevice& device, const CublasLt& library,
                       const std::function<void(const ProductResult&)>& report);

/// Runs what stands before products and compares it with float64.
void run_normalise_cases(const CudaDevice& device, const CaseOptions& options,
                         const std::function<void(const CaseResult&)>& report);

}  // namespace sam3trt
