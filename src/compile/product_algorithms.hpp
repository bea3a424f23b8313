#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda/product_choice.hpp"
#include "precision/precision.hpp"

namespace sam3trt {

/// Measures which algorithms of cuBLASLt the products of an engine take least time with, each size
/// once. For the GPU of `device`, which must outlive it. Any thread may ask.
class ProductChooser {
 public:
  explicit ProductChooser(const CudaDevice& device) : device_(device) {}

  /// For so many rows. Throws what cublaslt_library and choose_algorithm throw.
  [[nodiscard]] std::vector<std::array<uint64_t, 8>> choose(const OwnProduct& product,
                                                            int64_t rows);

 private:
  std::array<uint64_t, 8> algorithm_for(const ProductSizes& sizes);

  const CudaDevice& device_;
  std::mutex mutex_;
  std::vector<std::pair<ProductSizes, std::array<uint64_t, 8>>> known_;
};

}  // namespace sam3trt
