#include "cuda/products.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "cuda/kernels.hpp"

namespace sam3trt {
namespace {

using cublaslt::AlgorithmConfig;
using cublaslt::Descriptor;
using cublaslt::Preference;

// Sizes of products and of what they take fit into 63 bits by far.
constexpr int64_t kMostRows = int64_t{1} << 26;
constexpr int64_t kMostColumns = int64_t{1} << 20;

int type_of(DType type) {
  if (type == DType::kF16) return cublaslt::kFloat16;
  if (type == DType::kBF16) return cublaslt::kBFloat16;
  throw Error(ErrorCode::kInternal, "no product of " + std::string(name_of(type)));
}

uint64_t bytes_of(int64_t rows, int64_t columns, bool fp8) {
  constexpr uint64_t kApart = 256;
  const uint64_t bytes = static_cast<uint64_t>(rows * columns) * (fp8 ? 1 : sizeof(uint16_t));
  return (bytes + kApart - 1) / kApart * kApart;
}

/// What the products of all calls have in common.
template <typename Call>
ProductSizes sizes_of(const Call& call, int64_t inputs, int64_t outputs) {
  ProductSizes sizes;
  sizes.type = call.type;
  sizes.fp8 = sizes.weight_rows = sizes.fast_sums = call.fp8;
  sizes.rows = call.rows;
  sizes.inputs = inputs;
  sizes.outputs = outputs;
  return sizes;
}

/// The input of a call to `result`, normalised and rounded as its first product takes it.
template <typename Call>
void normalise(const OperatorKernels& kernels, const Call& call, int64_t columns,
               DevicePointer result, void* stream) {
  NormalisedRows rows;
  rows.type = call.type;
  rows.fp8 = call.fp8;
  rows.input = call.input;
  rows.gain = call.gain;
  rows.shift = call.shift;
  rows.factor = call.scales;
  rows.result = result;
  rows.epsilon = call.epsilon;
  rows.rows = call.rows;
  rows.columns = columns;
  kernels.launch(rows, stream);
}

void* pointer(DevicePointer address) { return device_pointer<void>(address); }

bool can_run(int status, const cublaslt::Heuristic& found) {
  return status == 0 && found.state == 0 && found.workspace_bytes <= kProductWorkspaceBytes;
}

/// Before the algorithm is chosen no address is known; the library only looks at its alignment.
void* any_address() { return pointer(uint64_t{1} << 20U); }

}  // namespace

std::string text_of(const ProductSizes& sizes) {
  return "a product of " + std::to_string(sizes.rows) + " x " + std::to_string(sizes.inputs) +
         " by " + std::to_string(sizes.inputs) + " x " + std::to_string(sizes.outputs) + " in " +
         (sizes.fp8 ? "FP8" : std::string(name_of(sizes.type)));
}

std::string product_problem(const ProductSizes& sizes) {
  // Rows of 16 bytes, as tensor cores and the library's copies want them.
  const int64_t step = sizes.fp8 ? kFp8Columns : kLowColumns;
  if (sizes.rows < 1 || sizes.rows > kMostRows || sizes.inputs < 1 || sizes.inputs > kMostColumns ||
      sizes.outputs < 1 || sizes.outputs > kMostColumns) {
    return text_of(sizes) + " is not possible";
  }
  if (sizes.inputs % step != 0 || sizes.outputs % step != 0) {
    return text_of(sizes) + ": its columns must be multiples of " + std::to_string(step);
  }
  if (sizes.fp8 && !sizes.weight_rows) return text_of(sizes) + " has weights by rows";
  if (sizes.fp8_result && (!sizes.fp8 || sizes.residual)) {
    return text_of(sizes) + " has an FP8 result";
  }
  return {};
}

Product::Owned Product::layout(int type, int64_t rows, int64_t columns) const {
  void* layout = nullptr;
  library_.layout_create(&layout, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns),
                         rows);
  return {layout, Object{&library_, &CublasLt::layout_destroy}};
}

template <typename T>
void Product::set(Descriptor attribute, T value) const {
  library_.descriptor_set(descriptor_.get(), attribute, &value, sizeof(value));
}

Product::Product(const CublasLt& library, const ProductSizes& sizes, int candidates,
                 uint64_t alignment, ProductScaling scaling)
    : library_(library), handle_(nullptr), sizes_(sizes), scaling_(scaling) {
  describe_product();
  find_algorithms(candidates, alignment);
}

Product::Product(const CublasLt& library, const ProductSizes& sizes,
                 const cublaslt::Algorithm& fixed)
    : library_(library), handle_(nullptr), sizes_(sizes), scaling_(ProductScaling::kTensor) {
  describe_product();
  cublaslt::Heuristic found;
  const int status = check(fixed, found);
  if (!can_run(status, found)) {
    throw Error(ErrorCode::kUnavailable, "cuBLASLt " + library_.version_text() +
                                             " refuses the algorithm that was chosen for " +
                                             text_of(sizes_) + " when this engine was built (" +
                                             library_.describe(status) +
                                             "); build the engine again on this machine");
  }
  algorithms_.push_back(found);
}

int Product::check(const cublaslt::Algorithm& algorithm, cublaslt::Heuristic& found) const {
  const int status = library_.algorithm_check.status(handle_, descriptor_.get(), a_.get(), b_.get(),
                                                     c_.get(), d_.get(), &algorithm, &found);
  found.algorithm = algorithm;
  return status;
}

bool Product::offer(const cublaslt::Algorithm& algorithm) {
  cublaslt::Heuristic found;
  if (!can_run(check(algorithm, found), found)) return false;
  algorithms_.push_back(found);
  return true;
}

void Product::describe_product() {
  const CublasLt& library = library_;
  const ProductSizes& sizes = sizes_;
  if (const std::string problem = product_problem(sizes); !problem.empty()) {
    throw_bad_input(problem);
  }
  handle_ = library.handle();
  void* descriptor = nullptr;
  library.descriptor_create(&descriptor, cublaslt::kComputeFloat32, cublaslt::kFloat32);
  descriptor_ = Owned(descriptor, Object{&library, &CublasLt::descriptor_destroy});
  const int type = type_of(sizes.type);
  const int factor = sizes.fp8 ? cublaslt::kE4m3 : type;
  if (sizes.weight_rows) {
    set(Descriptor::kTransposeA, static_cast<int32_t>(cublaslt::kTranspose));
    a_ = layout(factor, sizes.inputs, sizes.outputs);
  } else {
    a_ = layout(factor, sizes.outputs, sizes.inputs);
  }
  b_ = layout(factor, sizes.inputs, sizes.rows);
  c_ = layout(type, sizes.outputs, sizes.rows);
  d_ = layout(sizes.fp8_result ? cublaslt::kE4m3 : type, sizes.outputs, sizes.rows);
  set(Descriptor::kEpilogue,
      static_cast<uint32_t>(sizes.gelu ? cublaslt::kEpilogueGeluBias : cublaslt::kEpilogueBias));
  set(Descriptor::kBiasPointer, any_address());
  if (sizes.fp8) {
    set(Descriptor::kBiasType, static_cast<int32_t>(type));
    set(Descriptor::kFastAccumulation, static_cast<int8_t>(sizes.fast_sums ? 1 : 0));
    set(Descriptor::kBScalePointer, any_address());
    if (scaling_ == ProductScaling::kAlphaVector) {
      set(Descriptor::kPointerMode, static_cast<int32_t>(cublaslt::kAlphaVector));
    } else {
      set(Descriptor::kAScalePointer, any_address());
    }
    if (scaling_ == ProductScaling::kOuterVectors) {
      set(Descriptor::kAScaleMode, static_cast<int32_t>(cublaslt::kOuterVectorScale));
      set(Descriptor::kBScaleMode, static_cast<int32_t>(cublaslt::kOuterVectorScale));
    }
  }
  if (sizes.fp8_result) set(Descriptor::kDScalePointer, any_address());
}

void Product::find_algorithms(int candidates, uint64_t alignment) {
  void* made = nullptr;
  library_.preference_create(&made);
  const Owned preference(made, Object{&library_, &CublasLt::preference_destroy});
  const uint64_t workspace = kProductWorkspaceBytes;
  library_.preference_set(preference.get(), Preference::kWorkspaceBytes, &workspace,
                          sizeof(workspace));
  const auto bytes = static_cast<uint32_t>(alignment);
  for (const Preference each : {Preference::kAlignmentA, Preference::kAlignmentB,
                                Preference::kAlignmentC, Preference::kAlignmentD}) {
    library_.preference_set(preference.get(), each, &bytes, sizeof(bytes));
  }
  algorithms_.resize(static_cast<size_t>(std::max(candidates, 1)));
  int found = 0;
  const int status = library_.heuristic.status(
      handle_, descriptor_.get(), a_.get(), b_.get(), c_.get(), d_.get(), preference.get(),
      static_cast<int>(algorithms_.size()), algorithms_.data(), &found);
  algorithms_.resize(static_cast<size_t>(std::clamp(found, 0, std::max(candidates, 1))));
  std::erase_if(algorithms_, [](const cublaslt::Heuristic& each) { return each.state != 0; });
  if (status == 0 && !algorithms_.empty()) return;
  throw Error(ErrorCode::kUnavailable, "cuBLASLt " + library_.version_text() +
                                           " has no algorithm for " + text_of(sizes_) +
                                           " on this GPU (" + library_.describe(status) +
                                           "); build with a recipe without products");
}

std::string Product::describe() const {
  std::string text;
  const auto add = [&](const char* name, AlgorithmConfig config, size_t bytes) {
    uint32_t value = 0;
    size_t written = 0;
    if (library_.algorithm_get.status(&algorithm().algorithm, config, &value, bytes, &written) !=
        0) {
      return;
    }
    text += (text.empty() ? "" : ", ") + std::string(name) + " " + std::to_string(value);
  };
  add("algorithm", AlgorithmConfig::kId, 4);
  add("tile", AlgorithmConfig::kTile, 4);
  add("stages", AlgorithmConfig::kStages, 4);
  add("cluster", AlgorithmConfig::kClusterShape, 2);
  add("inner", AlgorithmConfig::kInnerShape, 2);
  add("split", AlgorithmConfig::kSplitK, 4);
  add("swizzle", AlgorithmConfig::kSwizzling, 4);
  add("option", AlgorithmConfig::kCustomOption, 4);
  return text + ", workspace " + std::to_string(algorithm().workspace_bytes);
}

void Product::launch(const ProductAddresses& at, void* stream) const {
  for (const DevicePointer each :
       {at.input, at.weight, at.bias, at.residual, at.result, at.input_scale, at.weight_scale,
        at.result_scale, at.workspace}) {
    if (each % kProductAlignment == 0) continue;
    throw Error(ErrorCode::kInternal, text_of(sizes_) + " at an address that is not aligned");
  }
  set(Descriptor::kBiasPointer, pointer(at.bias));
  const float one = 1;
  const float add = sizes_.residual ? 1 : 0;
  const void* alpha = &one;
  if (sizes_.fp8) {
    set(Descriptor::kBScalePointer, pointer(at.input_scale));
    if (scaling_ == ProductScaling::kAlphaVector) {
      alpha = pointer(at.weight_scale);
    } else {
      set(Descriptor::kAScalePointer, pointer(at.weight_scale));
    }
  }
  if (sizes_.fp8_result) set(Descriptor::kDScalePointer, pointer(at.result_scale));
  // Where nothing is added C is not read; it must not be D, whose type it does not have.
  const DevicePointer added = sizes_.residual ? at.residual : sizes_.fp8_result ? 0 : at.result;
  library_.matmul(handle_, descriptor_.get(), alpha, pointer(at.weight), a_.get(),
                  pointer(at.input), b_.get(), &add, pointer(added), c_.get(), pointer(at.result),
                  d_.get(), &algorithm().algorithm, pointer(at.workspace), kProductWorkspaceBytes,
                  stream);
}

ProductSizes ProductCall::product() const {
  ProductSizes sizes = sizes_of(*this, inputs, outputs);
  sizes.residual = added;
  return sizes;
}

uint64_t ProductCall::scratch_bytes() const {
  const bool prepared = normalised || fp8;
  return kProductWorkspaceBytes + (prepared ? bytes_of(rows, inputs, fp8) : 0);
}

bool ProductCall::fits() const {
  return product_problem(product()).empty() &&
         (!normalised || inputs <= NormalisedRows::kMostColumns);
}

ProductSizes MlpCall::hidden_product() const {
  ProductSizes sizes = sizes_of(*this, width, hidden);
  sizes.fp8_result = fp8;
  sizes.gelu = true;
  return sizes;
}

ProductSizes MlpCall::product() const {
  ProductSizes sizes = sizes_of(*this, hidden, width);
  sizes.residual = true;
  return sizes;
}

uint64_t MlpCall::scratch_bytes() const {
  return kProductWorkspaceBytes + bytes_of(rows, width, fp8) + bytes_of(rows, hidden, fp8);
}

bool MlpCall::fits() const {
  return product_problem(hidden_product()).empty() && product_problem(product()).empty() &&
         width <= NormalisedRows::kMostColumns;
}

void launch(const OperatorKernels& kernels, const ProductCall& call, const Product& product,
            void* stream) {
  ProductAddresses at;
  at.input = call.input;
  at.weight = call.weight;
  at.bias = call.bias;
  at.residual = call.residual;
  at.result = call.result;
  at.input_scale = call.scales + kScaleBytes;
  at.weight_scale = call.scales + 2 * kScaleBytes;
  at.workspace = call.scratch;
  const DevicePointer prepared = call.scratch + kProductWorkspaceBytes;
  if (call.normalised) {
    at.input = prepared;
    normalise(kernels, call, call.inputs, prepared, stream);
  } else if (call.fp8) {
    QuantisedValues values;
    values.type = call.type;
    values.input = call.input;
    values.factor = call.scales;
    values.result = at.input = prepared;
    values.count = call.rows * call.inputs;
    kernels.launch(values, stream);
  }
  product.launch(at, stream);
}

void launch(const OperatorKernels& kernels, const MlpCall& call, const Product& hidden_product,
            const Product& product, void* stream) {
  const DevicePointer normalised = call.scratch + kProductWorkspaceBytes;
  const DevicePointer hidden = normalised + bytes_of(call.rows, call.width, call.fp8);
  normalise(kernels, call, call.width, normalised, stream);

  ProductAddresses first;
  first.input = normalised;
  first.weight = call.hidden_weight;
  first.bias = call.hidden_bias;
  first.result = hidden;
  first.input_scale = call.scales + kScaleBytes;
  first.weight_scale = call.scales + 2 * kScaleBytes;
  first.result_scale = call.scales + 3 * kScaleBytes;
  first.workspace = call.scratch;
  hidden_product.launch(first, stream);

  ProductAddresses second;
  second.input = hidden;
  second.weight = call.weight;
  second.bias = call.bias;
  second.residual = call.input;
  second.result = call.result;
  second.input_scale = call.scales + 4 * kScaleBytes;
  second.weight_scale = call.scales + 5 * kScaleBytes;
  second.workspace = call.scratch;
  product.launch(second, stream);
}

}  // namespace sam3trt
