// What stands before products: what OperatorKernels needs to know of normalise.hpp in kernels.
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "cuda/fatbin.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/attention.hpp"
#include "cuda/kernels/normalise.hpp"
#include "cuda/operators.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMostRows = int64_t{1} << 30;
constexpr int64_t kMostValues = int64_t{1} << 36;  // whose blocks a grid has room for
constexpr unsigned kRowThreads = 128;
constexpr int64_t kRowsOfBlock = kRowThreads / 32;
constexpr int64_t kNarrow = 1024;
constexpr std::array<int64_t, 3> kNormColumns = {256, 1024, 2048};

/// Which of the kernels of kNormColumns.
size_t norm_of(int64_t columns) {
  return static_cast<size_t>(std::ranges::lower_bound(kNormColumns, columns) -
                             kNormColumns.begin());
}

bool is_rows(int64_t rows, int64_t columns) {
  return rows > 0 && rows <= kMostRows && columns > 0 && columns <= kMostNormalisedColumns &&
         columns % kQuantisedTogether == 0;
}

void check(bool fits, int64_t rows, int64_t columns) {
  if (fits) return;
  throw Error(ErrorCode::kInternal, std::to_string(rows) + " rows of " + std::to_string(columns) +
                                        " values before a product");
}

/// What all of them take.
template <typename Call>
NormaliseArgs arguments_of(const Call& call, int64_t rows) {
  check(call.fits(), rows, call.columns);
  NormaliseArgs args;
  args.gain = device_pointer<const float>(call.gain);
  args.shift = device_pointer<const float>(call.shift);
  args.result = device_pointer<void>(call.result);
  args.epsilon = call.epsilon;
  args.rows = static_cast<int32_t>(rows);
  args.columns = static_cast<int32_t>(call.columns);
  return args;
}

}  // namespace

bool NormalisedRows::fits() const { return is_rows(rows, columns); }

bool ResidualNorm::fits() const { return is_rows(rows, columns); }

bool GatheredNorm::fits() const {
  return blocks > 0 && blocks <= kMostRows && block > 0 && block <= kMostRows && indices > 0 &&
         indices <= kMostRows && is_rows(indices * block, columns);
}

bool QuantisedValues::fits() const {
  return count > 0 && count <= kMostValues && count % kQuantisedTogether == 0;
}

void OperatorKernels::load_products() {
  driver_.library_load_data(&product_library_, product_fatbin().data(), nullptr, nullptr, 0,
                            nullptr, nullptr, 0);
  for (size_t t = 0; t < kTypes; ++t) {
    const std::string name = kTypeNames[t];
    ProductFunctions& functions = product_functions_[t];
    functions.quantise = kernel(product_library_, "sam3trt_quantise_" + name);
    for (size_t i = 0; i < kNormColumns.size(); ++i) {
      const std::string size = name + "_" + std::to_string(kNormColumns[i]);
      functions.residual_norm[i] = kernel(product_library_, "sam3trt_residual_norm_" + size);
      functions.gathered_norm[i] = kernel(product_library_, "sam3trt_gathered_norm_" + size);
    }
    for (const bool fp8 : {false, true}) {
      const std::string prefix = "sam3trt_normalise_" + name + (fp8 ? "_e4m3" : "");
      functions.normalise[0][fp8 ? 1 : 0] = kernel(product_library_, prefix + "_1024");
      functions.normalise[1][fp8 ? 1 : 0] = kernel(product_library_, prefix + "_2048");
    }
  }
}

void OperatorKernels::launch(const NormalisedRows& r, void* stream) const {
  NormaliseArgs args = arguments_of(r, r.rows);
  args.input = device_pointer<const uint16_t>(r.input);
  args.factor = device_pointer<const float>(r.factor);
  const auto& functions = product_functions_[index_of(r.type)].normalise;
  start(functions[r.columns <= kNarrow ? 0 : 1][r.fp8 ? 1 : 0],
        {tiles_of(r.rows, kRowsOfBlock), 1, 1}, kRowThreads, stream, &args);
}

void OperatorKernels::launch(const ResidualNorm& n, void* stream) const {
  NormaliseArgs args = arguments_of(n, n.rows);
  args.input = device_pointer<const uint16_t>(n.added);
  args.residual = device_pointer<const float>(n.residual);
  args.sum = device_pointer<float>(n.sum);
  start(product_functions_[index_of(n.type)].residual_norm.at(norm_of(n.columns)),
        {tiles_of(n.rows, kRowsOfBlock), 1, 1}, kRowThreads, stream, &args);
}

void OperatorKernels::launch(const GatheredNorm& n, void* stream) const {
  const int64_t rows = n.indices * n.block;
  NormaliseArgs args = arguments_of(n, rows);
  args.input = device_pointer<const uint16_t>(n.input);
  args.index = device_pointer<const int64_t>(n.index);
  args.gathered = device_pointer<uint16_t>(n.gathered);
  args.block = static_cast<int32_t>(n.block);
  args.blocks = static_cast<int32_t>(n.blocks);
  start(product_functions_[index_of(n.type)].gathered_norm.at(norm_of(n.columns)),
        {tiles_of(rows, kRowsOfBlock), 1, 1}, kRowThreads, stream, &args);
}

void OperatorKernels::launch(const QuantisedValues& v, void* stream) const {
  check(v.fits(), 1, v.count);
  QuantiseArgs args;
  args.input = device_pointer<const uint16_t>(v.input);
  args.factor = device_pointer<const float>(v.factor);
  args.result = device_pointer<void>(v.result);
  args.count = v.count;
  start(product_functions_[index_of(v.type)].quantise,
        {tiles_of<int64_t>(v.count, int64_t{kBlockThreads} * kQuantisedTogether), 1, 1},
        kBlockThreads, stream, &args);
}

}  // namespace sam3trt
