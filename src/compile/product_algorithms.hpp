#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
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
  using Library = std::function<const CublasLt&()>;

  /// What it finds is kept in the folder `memory`, a file each, for later builds with the same GPU,
  /// driver and version of the library; empty: it is not. `again`: what is there is not read.
  explicit ProductChooser(const CudaDevice& device, std::filesystem::path memory = {},
                          bool again = false, Library library = cublaslt_library)
      : device_(device), memory_(std::move(memory)), again_(again), library_(std::move(library)) {}

  /// For so many rows. Throws what the library and choose_algorithm throw.
  [[nodiscard]] std::vector<std::array<uint64_t, 8>> choose(const OwnProduct& product,
                                                            int64_t rows);

 private:
  std::array<uint64_t, 8> algorithm_for(const ProductSizes& sizes);
  std::array<uint64_t, 8> remembered_or_found(const ProductSizes& sizes);
  [[nodiscard]] std::filesystem::path file_of(const CublasLt& library,
                                              const ProductSizes& sizes) const;

  const CudaDevice& device_;
  std::filesystem::path memory_;
  bool again_;
  Library library_;
  std::mutex mutex_;
  std::vector<std::pair<ProductSizes, std::array<uint64_t, 8>>> known_;
};

}  // namespace sam3trt
