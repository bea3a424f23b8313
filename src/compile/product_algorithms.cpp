#include "compile/product_algorithms.hpp"

#include <algorithm>
#include <cstdio>

#include "base/log.hpp"
#include "base/own_operators.hpp"
#include "cuda/device.hpp"

namespace sam3trt {

std::vector<std::array<uint64_t, 8>> ProductChooser::choose(const OwnProduct& product,
                                                            int64_t rows) {
  const auto [inputs, outputs] = product.sizes.at(0);
  if (product.op == kMlp) {
    MlpCall call;
    call.type = product.type;
    call.fp8 = product.fp8;
    call.rows = rows;
    call.width = inputs;
    call.hidden = outputs;
    return {algorithm_for(call.hidden_product()), algorithm_for(call.product())};
  }
  ProductCall call;
  call.type = product.type;
  call.fp8 = product.fp8;
  call.added = product.op == kResidualProduct;
  call.rows = rows;
  call.inputs = inputs;
  call.outputs = outputs;
  return {algorithm_for(call.product())};
}

std::array<uint64_t, 8> ProductChooser::algorithm_for(const ProductSizes& sizes) {
  const std::scoped_lock lock(mutex_);  // what is measured must have the GPU to itself
  const auto found =
      std::ranges::find(known_, sizes, &std::pair<ProductSizes, std::array<uint64_t, 8>>::first);
  if (found != known_.end()) return found->second;
  device_.make_current();
  const ChosenAlgorithm chosen = choose_algorithm(cublaslt_library(), device_, sizes);
  std::array<char, 128> times{};
  std::snprintf(times.data(), times.size(), "%.1f us, the library's first of %zu %.1f us",
                chosen.microseconds, chosen.candidates, chosen.first_microseconds);
  log(LogLevel::kInfo, text_of(sizes) + ": " + chosen.description + ", " + times.data());
  known_.emplace_back(sizes, chosen.algorithm.data);
  return chosen.algorithm.data;
}

}  // namespace sam3trt
