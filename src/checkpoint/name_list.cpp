#include "checkpoint/name_list.hpp"

#include <algorithm>
#include <string_view>

namespace sam3trt {
namespace {

constexpr size_t kFewestWithAPrefix = 3;

std::string_view name_in(std::string_view line) { return line.substr(0, line.find_first_of(" :")); }

/// What all names begin with, up to and with a dot.
std::string_view common_prefix(const std::vector<std::string>& lines) {
  std::string_view prefix = name_in(lines.front());
  for (const std::string& line : lines) {
    const std::string_view name = name_in(line);
    const auto differs = std::ranges::mismatch(prefix, name).in1;
    prefix = prefix.substr(0, static_cast<size_t>(differs - prefix.begin()));
  }
  const size_t dot = prefix.rfind('.');
  return dot == std::string_view::npos ? "" : prefix.substr(0, dot + 1);
}

}  // namespace

std::string first_lines(const std::vector<std::string>& lines, size_t most) {
  std::string text;
  for (size_t i = 0; i < std::min(lines.size(), most); ++i) text += "\n  " + lines[i];
  if (lines.size() > most) {
    text += "\n  ... and " + std::to_string(lines.size() - most) + " more";
  }
  return text;
}

std::string listed_names(const std::string& heading, const std::vector<std::string>& lines,
                         size_t most) {
  if (lines.empty()) return "";
  std::string text = "\n" + std::to_string(lines.size()) + " " + heading;
  const std::string_view prefix =
      lines.size() < kFewestWithAPrefix ? std::string_view() : common_prefix(lines);
  if (prefix.empty()) return text + ":" + first_lines(lines, most);
  text += ", each name begins with \"" + std::string(prefix) + "\":";
  std::vector<std::string> rests;
  rests.reserve(lines.size());
  for (const std::string& line : lines) rests.push_back(line.substr(prefix.size()));
  return text + first_lines(rests, most);
}

}  // namespace sam3trt
