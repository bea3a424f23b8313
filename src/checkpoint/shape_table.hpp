#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt {

/// Shapes of a checkpoint's tensors by name, and the list of what is missing.
class ShapeTable {
 public:
  ShapeTable(std::span<const StoredTensor> tensors, const ModelNames& model);

  [[nodiscard]] const Shape* find(const std::string& name) const;

  /// Dimension `axis` of a tensor of that rank; 1 after noting a problem.
  int64_t dim(const std::string& name, size_t rank, size_t axis);

  /// One more than the largest number N of a tensor "<prefix>N.", 0 when there is none.
  [[nodiscard]] int64_t layers(const std::string& prefix) const;

  std::vector<std::string> problems;

 private:
  std::map<std::string, const Shape*> shapes_;
};

/// The side of a square of `count` elements, if it is one.
[[nodiscard]] std::optional<int64_t> square_side(int64_t count);

}  // namespace sam3trt
