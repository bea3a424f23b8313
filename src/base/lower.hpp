#pragma once

#include <algorithm>
#include <cctype>
#include <string>

namespace sam3trt {

/// The text with its ASCII letters in lower case, for the endings of file names.
[[nodiscard]] inline std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace sam3trt
