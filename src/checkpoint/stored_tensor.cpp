#include "checkpoint/stored_tensor.hpp"

#include <algorithm>

namespace sam3trt {
namespace {

constexpr size_t kMaxNameLength = 512;
constexpr size_t kMaxPrintedLength = 120;

bool is_printable(char c) { return c >= 0x20 && c <= 0x7E; }

}  // namespace

bool is_tensor_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameLength && std::ranges::all_of(name, is_printable);
}

std::string printable(std::string_view text) {
  std::string result(text.substr(0, kMaxPrintedLength));
  std::ranges::replace_if(
      result, [](char c) { return !is_printable(c); }, '?');
  if (text.size() > kMaxPrintedLength) result += "...";
  return result;
}

}  // namespace sam3trt
