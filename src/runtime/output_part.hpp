#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// What is read of a component's output: all of it, or rows of it.
struct OutputPart {
  std::string output;
  int64_t row_size = 0;        ///< The output as rows of so many numbers each; 0: all of it.
  std::vector<size_t> rows{};  ///< Their indices, in any order.
};

/// Shape of what is read of an output of that shape: [rows, row_size], or the output's own. Throws
/// Error(kInternal) for rows that it does not have.
[[nodiscard]] Shape shape_of(const OutputPart& part, const Shape& output);

}  // namespace sam3trt
