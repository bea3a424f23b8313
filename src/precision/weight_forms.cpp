#include "precision/weight_forms.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/e4m3.hpp"
#include "base/error.hpp"
#include "base/half.hpp"

namespace sam3trt {
namespace {

constexpr float kSmallestNormalF16 = 6.103515625e-5F;         // 2^-14
constexpr float kSmallestNormalBf16 = 1.17549435082229e-38F;  // 2^-126

uint16_t narrow(float value, DType type) {
  return type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
}

float widen(uint16_t bits, DType type) {
  return type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

}  // namespace

WeightForm in_form(std::span<const float> values, DType type) {
  WeightForm form;
  if (type == DType::kF32) {
    const auto bytes = std::as_bytes(values);
    form.bytes.assign(bytes.begin(), bytes.end());
    return form;
  }
  if (type != DType::kF16 && type != DType::kBF16) {
    throw Error(ErrorCode::kInternal, "weights cannot be stored as " + std::string(name_of(type)));
  }
  const float smallest = type == DType::kF16 ? kSmallestNormalF16 : kSmallestNormalBf16;
  form.bytes.resize(values.size() * sizeof(uint16_t));
  std::byte* target = form.bytes.data();
  for (const float value : values) {
    const uint16_t bits = narrow(value, type);
    std::memcpy(target, &bits, sizeof bits);
    target += sizeof bits;
    const float found = widen(bits, type);
    if (!std::isfinite(found)) {
      ++form.overflows;
    } else if (found == 0.0F) {
      form.flushed += value != 0.0F ? 1 : 0;
    } else if (std::abs(found) < smallest) {
      form.subnormals += found != value ? 1 : 0;
    }
  }
  return form;
}

float fp8_scale(float amax, DType type) {
  const float exact = amax / kLargestE4m3;
  uint16_t bits = narrow(exact, type);
  // The bits of positive numbers are in their order, so the next number is one more.
  if (widen(bits, type) < exact || bits == 0) ++bits;
  return widen(bits, type);
}

Fp8Matrix in_fp8(std::span<const float> values, size_t columns, DType scale_type) {
  Fp8Matrix matrix;
  matrix.scales.assign(columns, 0.0F);
  for (size_t i = 0; i < values.size(); ++i) {
    matrix.finite = matrix.finite && std::isfinite(values[i]);
    float& amax = matrix.scales[i % columns];
    amax = std::max(amax, std::abs(values[i]));
  }
  for (float& scale : matrix.scales) scale = fp8_scale(scale, scale_type);
  matrix.data.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    matrix.data.push_back(std::byte{f32_to_e4m3(values[i] / matrix.scales[i % columns])});
  }
  return matrix;
}

float fp8_tensor_scale(float amax) { return std::max(amax / kLargestE4m3, kSmallestNormalBf16); }

Fp8Transpose in_fp8_transposed(std::span<const float> values, size_t columns) {
  Fp8Transpose result;
  float amax = 0;
  for (const float value : values) {
    result.finite = result.finite && std::isfinite(value);
    amax = std::max(amax, std::abs(value));
  }
  result.scale = fp8_tensor_scale(amax);
  result.data.resize(values.size());
  const size_t rows = columns == 0 ? 0 : values.size() / columns;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      result.data[column * rows + row] =
          std::byte{f32_to_e4m3(values[row * columns + column] / result.scale)};
    }
  }
  return result;
}

}  // namespace sam3trt
