#include "compile/product_algorithms.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/own_operators.hpp"
#include "base/sha256.hpp"
#include "compile/json_memory.hpp"
#include "cuda/device.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;  ///< Of these files and of how algorithms are looked for.
constexpr size_t kLargestFile = size_t{1} << 12;

std::optional<cublaslt::Algorithm> recall_algorithm(const fs::path& file) {
  return recall(file, kLargestFile, [](const MemoryJson& json) {
    return std::optional(cublaslt::Algorithm{json.at("algorithm").get<std::array<uint64_t, 8>>()});
  });
}

}  // namespace

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
  const auto algorithm = remembered_or_found(sizes);
  known_.emplace_back(sizes, algorithm);
  return algorithm;
}

std::array<uint64_t, 8> ProductChooser::remembered_or_found(const ProductSizes& sizes) {
  const CublasLt& library = library_();
  const fs::path file = file_of(library, sizes);
  if (const auto algorithm = again_ ? std::nullopt : recall_algorithm(file)) {
    try {
      const Product product(library, sizes, *algorithm);
      log(LogLevel::kInfo,
          text_of(sizes) + ": " + product.describe() + ", found by an earlier build");
      return algorithm->data;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;  // it has not got it any more
    }
  }
  const ChosenAlgorithm chosen = choose_algorithm(library, device_, sizes);
  std::array<char, 128> times{};
  std::snprintf(times.data(), times.size(), "%.1f us, the library's first %.1f us; %zu tried",
                chosen.microseconds, chosen.first_microseconds, chosen.candidates);
  log(LogLevel::kInfo, text_of(sizes) + ": " + chosen.description + ", " + times.data());
  remember_json(file, {{"algorithm", chosen.algorithm.data}, {"is", chosen.description}},
                "which algorithm a product takes");
  return chosen.algorithm.data;
}

fs::path ProductChooser::file_of(const CublasLt& library, const ProductSizes& sizes) const {
  if (memory_.empty()) return {};
  const CudaDeviceInfo info = device_.info();
  const MemoryJson key = {
      kVersion,
      info.name,
      info.compute_capability(),
      device_.driver().cuda_version(),
      library.version_text(),
      name_of(sizes.type),
      {sizes.fp8, sizes.fp8_result, sizes.weight_rows, sizes.gelu, sizes.residual, sizes.fast_sums},
      {sizes.rows, sizes.inputs, sizes.outputs}};
  const std::string text = key.dump();
  return memory_ / (sha256_hex(std::as_bytes(std::span(text))) + ".product.json");
}

}  // namespace sam3trt
