#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/products.hpp"

namespace sam3trt {

/// The algorithm that took least of those of the library that were tried for a product.
struct ChosenAlgorithm {
  cublaslt::Algorithm algorithm;
  double microseconds = 0;        ///< What it took.
  double first_microseconds = 0;  ///< What the library's own first choice took.
  size_t candidates = 0;          ///< So many were tried.
  std::string description;        ///< Product::describe()
};

/// Looks for it on the device (cuda/product_search.hpp); takes some seconds, and memory for the
/// operands while it does. Throws Error(kUnavailable) where the library has none that runs,
/// Error(kBadInput) for sizes that cannot be.
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

/// Runs a product and reads what it writes to the beginning and to the end of its result, as
/// integers in the floats' order that count units in the last place. The result is filled with NaN
/// before, so that what is not written shows.
[[nodiscard]] std::vector<int32_t> result_of(const Stream& stream, const Product& product,
                                             const ProductAddresses& at);

/// Fills memory with bytes that differ, as those of real operands do, for the GPU's clock depends
/// on them: finite numbers of float16, bfloat16 and E4M3.
void fill_with_numbers(const CudaDevice& device, const Stream& stream, const DeviceBuffer& buffer);

}  // namespace sam3trt
