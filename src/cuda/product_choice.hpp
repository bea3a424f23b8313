#pragma once

#include "cuda/buffer.hpp"
#include "cuda/products.hpp"

namespace sam3trt {

/// The algorithm that took least of all that the library offers for a product.
struct ChosenAlgorithm {
  cublaslt::Algorithm algorithm;
  double microseconds = 0;        ///< What it took.
  double first_microseconds = 0;  ///< What the library's own first choice took; 0: it failed.
  size_t candidates = 0;          ///< So many were tried.
  std::string description;        ///< Product::describe()
};

/// Measures them on the device; takes some milliseconds, and memory for the operands while it does.
/// Throws Error(kUnavailable) where the library has none that runs, Error(kBadInput) for sizes that
/// cannot be.
[[nodiscard]] ChosenAlgorithm choose_algorithm(const CublasLt& library, const CudaDevice& device,
                                               const ProductSizes& sizes);

/// Operands of products of these sizes, or of less, with values that are finite in all types.
class ProductOperands {
 public:
  ProductOperands(const CudaDevice& device, const Stream& stream, const ProductSizes& most);

  [[nodiscard]] ProductAddresses at(bool residual) const;

 private:
  DeviceBuffer input_, weight_, bias_, residual_, result_, scales_, workspace_;
};

/// Fills memory with bytes that differ, as those of real operands do, for the GPU's clock depends
/// on them: finite numbers of float16, bfloat16 and E4M3.
void fill_with_numbers(const CudaDevice& device, const Stream& stream, const DeviceBuffer& buffer);

}  // namespace sam3trt
