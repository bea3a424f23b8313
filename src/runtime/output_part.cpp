#include "runtime/output_part.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {

Shape shape_of(const OutputPart& part, const Shape& output) {
  if (part.row_size == 0) return output;
  const int64_t count = element_count(output);
  const bool whole = part.row_size > 0 && count % part.row_size == 0;
  const auto rows = static_cast<size_t>(whole ? count / part.row_size : 0);
  if (!std::ranges::all_of(part.rows, [&](size_t row) { return row < rows; })) {
    throw Error(ErrorCode::kInternal, "rows of " + std::to_string(part.row_size) + " numbers of " +
                                          part.output + " " + to_string(output) +
                                          " are read that it does not have");
  }
  return {static_cast<int64_t>(part.rows.size()), part.row_size};
}

}  // namespace sam3trt
