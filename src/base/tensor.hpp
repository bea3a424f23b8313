#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// Element types of tensors in checkpoints, graphs and backends.
enum class DType { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool, kC64 };

/// Bytes of one element.
[[nodiscard]] size_t size_of(DType dtype);

/// Lower-case name, for example "f32".
[[nodiscard]] std::string_view name_of(DType dtype);

using Shape = std::vector<int64_t>;

/// "[1, 3, 1008, 1008]".
[[nodiscard]] std::string to_string(std::span<const int64_t> shape);

/// Number of elements; throws Error(kInternal) for negative dimensions or overflow. Use
/// checked_element_count for shapes that come from outside.
[[nodiscard]] int64_t element_count(std::span<const int64_t> shape);

/// A dense row-major tensor in host memory that owns its bytes.
class Tensor {
 public:
  Tensor() = default;

  /// Zero-filled.
  Tensor(DType dtype, Shape shape);

  /// Copies `values`; throws Error(kInternal) when their number does not fit the shape.
  static Tensor from_f32(Shape shape, std::span<const float> values);
  static Tensor from_i64(Shape shape, std::span<const int64_t> values);

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] int64_t dim(size_t axis) const { return shape_.at(axis); }
  [[nodiscard]] int64_t size() const { return element_count(shape_); }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }

  /// Typed views; throw Error(kInternal) when the dtype is another one.
  [[nodiscard]] std::span<const float> f32() const;
  [[nodiscard]] std::span<float> f32();
  [[nodiscard]] std::span<const int64_t> i64() const;
  [[nodiscard]] std::span<int64_t> i64();

 private:
  DType dtype_ = DType::kF32;
  Shape shape_ = {0};
  std::vector<std::byte> bytes_;
};

}  // namespace sam3trt
