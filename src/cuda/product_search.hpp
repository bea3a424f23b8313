#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/product_choice.hpp"

namespace sam3trt {

/// Algorithms that are asked of the heuristic for a size; it has not given more than 8.
inline constexpr int kHeuristicOffers = 16;

/// Looks for the algorithm that a product takes least time with. The library's heuristic offers
/// eight for a size; others of its algorithms take up to a sixth less. What is tried:
///
/// 1. what the heuristic offers for these sizes,
/// 2. what it offers for others, with fewer and more rows and outputs,
/// 3. the tiles that took least of all these, with every option and cluster shape among them,
///
/// and those that did best in turn, round by round, for a GPU that is warm slows down, so that
/// times taken one after another cannot be compared. Chosen is the fastest whose result is that of
/// the heuristic's first.
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
  using Field = std::vector<Tried>;  ///< The best first.

  /// What is in the product from this candidate on.
  Field try_from(size_t candidate);
  void offer(const cublaslt::Algorithm& algorithm);
  void offer_those_of_other_sizes();
  void offer_relatives_of(const Field& best);
  /// Medians of so many rounds.
  void run_in_turn(Field& field, size_t rounds);

  const CublasLt& library_;
  Product& product_;
  Run run_;
  size_t tried_ = 0;
  std::string problem_;
};

}  // namespace sam3trt
