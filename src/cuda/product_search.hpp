#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/product_choice.hpp"

namespace sam3trt {

/// Looks for the algorithm that a product takes least time with. The library's heuristic offers
/// eight for a size; others of its algorithms take up to a fifth less. What is tried:
///
/// 1. what the heuristic offers for these sizes,
/// 2. what it offers for others, with fewer and more rows and outputs,
/// 3. the tiles that took least of all these, with every option and cluster shape among them,
///
/// and the best of them once more in turn, so that the GPU's clock treats all alike. Chosen is the
/// fastest whose result is that of the heuristic's first.
class ProductSearch {
 public:
  /// What runs the product with the algorithm that is chosen in it at the time.
  struct Run {
    /// Microseconds of one of so many launches one after another.
    std::function<double(int launches)> measure;
    std::function<std::vector<int32_t>()> result;  ///< Of result_of.
  };

  ProductSearch(const CublasLt& library, Product& product, Run run)
      : library_(library), product_(product), run_(std::move(run)) {}

  /// Chooses it in the product. Throws Error(kUnavailable) where none runs.
  ChosenAlgorithm find();

 private:
  struct Tried {
    size_t candidate = 0;
    double microseconds = 0;
  };

  void try_from(size_t candidate);
  void try_one(size_t candidate);
  void offer(const cublaslt::Algorithm& algorithm);
  void offer_those_of_other_sizes();
  void offer_relatives_of_the_best();
  /// The best, and the first that ran, with times that can be compared.
  [[nodiscard]] std::vector<Tried> finals(size_t first);
  [[nodiscard]] double least() const;

  const CublasLt& library_;
  Product& product_;
  Run run_;
  std::vector<Tried> tried_;
  std::string problem_;
};

}  // namespace sam3trt
