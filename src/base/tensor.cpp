#include "base/tensor.hpp"

#include <cstring>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"

namespace sam3trt {
namespace {

template <typename T>
Tensor copy_values(DType dtype, Shape shape, std::span<const T> values) {
  Tensor tensor(dtype, std::move(shape));
  if (tensor.bytes().size() != values.size_bytes()) {
    throw Error(ErrorCode::kInternal, "a tensor of shape " + to_string(tensor.shape()) +
                                          " was given " + std::to_string(values.size()) +
                                          " values");
  }
  if (!values.empty()) std::memcpy(tensor.bytes().data(), values.data(), values.size_bytes());
  return tensor;
}

void require_dtype(DType expected, DType found) {
  if (expected == found) return;
  throw Error(ErrorCode::kInternal, "a tensor of dtype " + std::string(name_of(found)) +
                                        " was read as " + std::string(name_of(expected)));
}

}  // namespace

size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF64:
    case DType::kI64:
    case DType::kC64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return 2;
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  throw Error(ErrorCode::kInternal, "unknown dtype");
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kF64:
      return "f64";
    case DType::kI64:
      return "i64";
    case DType::kI32:
      return "i32";
    case DType::kI16:
      return "i16";
    case DType::kI8:
      return "i8";
    case DType::kU8:
      return "u8";
    case DType::kBool:
      return "bool";
    case DType::kC64:
      return "c64";
  }
  throw Error(ErrorCode::kInternal, "unknown dtype");
}

std::string to_string(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

int64_t element_count(std::span<const int64_t> shape) {
  const auto count = checked_element_count(shape);
  if (!count) throw Error(ErrorCode::kInternal, "impossible tensor shape " + to_string(shape));
  return *count;
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(std::move(shape)),
      bytes_(static_cast<size_t>(element_count(shape_)) * size_of(dtype)) {}

Tensor Tensor::from_f32(Shape shape, std::span<const float> values) {
  return copy_values(DType::kF32, std::move(shape), values);
}

Tensor Tensor::from_i64(Shape shape, std::span<const int64_t> values) {
  return copy_values(DType::kI64, std::move(shape), values);
}

std::span<const float> Tensor::f32() const {
  require_dtype(DType::kF32, dtype_);
  return {reinterpret_cast<const float*>(bytes_.data()), bytes_.size() / sizeof(float)};
}

std::span<float> Tensor::f32() {
  require_dtype(DType::kF32, dtype_);
  return {reinterpret_cast<float*>(bytes_.data()), bytes_.size() / sizeof(float)};
}

std::span<const int64_t> Tensor::i64() const {
  require_dtype(DType::kI64, dtype_);
  return {reinterpret_cast<const int64_t*>(bytes_.data()), bytes_.size() / sizeof(int64_t)};
}

std::span<int64_t> Tensor::i64() {
  require_dtype(DType::kI64, dtype_);
  return {reinterpret_cast<int64_t*>(bytes_.data()), bytes_.size() / sizeof(int64_t)};
}

}  // namespace sam3trt
