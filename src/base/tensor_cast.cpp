#include "base/tensor_cast.hpp"

#include <cstring>

#include "base/error.hpp"
#include "base/half.hpp"

namespace sam3trt {
namespace {

Tensor narrowed(const Tensor& tensor, DType dtype) {
  Tensor result(dtype, tensor.shape());
  std::byte* to = result.bytes().data();
  for (const float value : tensor.f32()) {
    const uint16_t bits = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
    std::memcpy(to, &bits, sizeof(bits));
    to += sizeof(bits);
  }
  return result;
}

Tensor widened(const Tensor& tensor) {
  Tensor result(DType::kF32, tensor.shape());
  const std::byte* from = tensor.bytes().data();
  for (float& value : result.f32()) {
    uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof(bits));
    from += sizeof(bits);
    value = tensor.dtype() == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
  return result;
}

}  // namespace

bool is_16_bit_float(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16; }

Tensor cast_tensor(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == DType::kF32 && is_16_bit_float(dtype)) return narrowed(tensor, dtype);
  if (is_16_bit_float(tensor.dtype()) && dtype == DType::kF32) return widened(tensor);
  throw Error(ErrorCode::kInternal, "cast_tensor: from " + std::string(name_of(tensor.dtype())) +
                                        " to " + std::string(name_of(dtype)));
}

}  // namespace sam3trt
