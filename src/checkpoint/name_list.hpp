#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sam3trt {

/// Lines about tensors, so that one error stays one screen: a heading with their number, then the
/// first ten (`most`). What three or more of the names begin with is said once, in the heading.
/// Each line is a tensor's name, maybe followed by " ..." or ": ...". Starts with a line break;
/// empty without lines.
[[nodiscard]] std::string listed_names(const std::string& heading,
                                       const std::vector<std::string>& lines, size_t most = 10);

/// The first ten lines (`most`), indented, and how many more there are; each starts with a line
/// break.
[[nodiscard]] std::string first_lines(const std::vector<std::string>& lines, size_t most = 10);

}  // namespace sam3trt
