#include "text/html_entities.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "text/mojibake.hpp"

namespace sam3trt {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr size_t kLongestName = 32;
constexpr size_t kLongestClosedName = 24;

using Entities = std::unordered_map<std::string_view, std::u32string>;

void add_entities(std::string_view table, Entities& entities) {
  constexpr std::string_view kBlanks = " \n";
  for (size_t at = table.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const size_t end = std::min(table.find_first_of(kBlanks, at), table.size());
    const std::string_view entry = table.substr(at, end - at);
    const size_t equals = entry.find('=');
    std::u32string value;
    for (const char* digits = entry.data() + equals; digits < entry.data() + entry.size();) {
      uint32_t code = 0;
      digits = std::from_chars(digits + 1, entry.data() + entry.size(), code, 16).ptr;
      value.push_back(code);
    }
    entities.emplace(entry.substr(0, equals), std::move(value));
    at = table.find_first_not_of(kBlanks, end);
  }
}

const Entities& html_entities() {
  static const Entities kEntities = [] {
    Entities entities;
    add_entities(text_tables::kHtmlEntities, entities);
    return entities;
  }();
  return kEntities;
}

const Entities& capital_entities() {
  static const Entities kEntities = [] {
    Entities entities;
    add_entities(text_tables::kCapitalEntities, entities);
    return entities;
  }();
  return kEntities;
}

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

int hex_value(char32_t c) {
  if (is_digit(c)) return static_cast<int>(c - U'0');
  if (c >= U'a' && c <= U'f') return static_cast<int>(c - U'a') + 10;
  if (c >= U'A' && c <= U'F') return static_cast<int>(c - U'A') + 10;
  return -1;
}

bool is_alphanumeric(char32_t c) {
  return is_digit(c) || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}

/// Code points that no character reference gives (HTML 5, "numeric character reference end state";
/// the table of Python's html module).
bool is_refused(char32_t code) {
  return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
         (code >= 0x7F && code <= 0x9F) || (code >= 0xFDD0 && code <= 0xFDEF) ||
         (code & 0xFFFE) == 0xFFFE;
}

void append_code(char32_t code, std::u32string& result) {
  if (code == 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    result.push_back(kReplacement);
  } else if (code >= 0x80 && code <= 0x9F) {
    result.push_back(windows_1252(static_cast<uint8_t>(code)));
  } else if (!is_refused(code)) {
    result.push_back(code);
  }
}

/// A reference that begins with "&#" at `at`: appends its character and returns its length; 0 when
/// there is none.
size_t unescape_number(std::u32string_view text, size_t at, std::u32string& result) {
  const bool is_hex = at + 2 < text.size() && (text[at + 2] == U'x' || text[at + 2] == U'X');
  const size_t digits = at + (is_hex ? 3 : 2);
  const uint32_t base = is_hex ? 16 : 10;
  size_t end = digits;
  uint32_t code = 0;
  for (; end < text.size(); ++end) {
    const int digit = hex_value(text[end]);
    if (digit < 0 || digit >= static_cast<int>(base)) break;
    code = std::min(code * base + static_cast<uint32_t>(digit), uint32_t{0x110000});
  }
  if (end == digits) return 0;
  append_code(code, result);
  if (end < text.size() && text[end] == U';') ++end;
  return end - at;
}

/// Names are ASCII; an empty string when the text is not.
std::string to_ascii(std::u32string_view text) {
  std::string result;
  for (const char32_t c : text) {
    if (c >= 0x80) return {};
    result.push_back(static_cast<char>(c));
  }
  return result;
}

bool ends_name(char32_t c) {
  return std::u32string_view(U"\t\n\f <&#;").find(c) != std::u32string_view::npos;
}

/// A reference by name that begins with "&" at `at`, or what looks like one. Returns how much of
/// the text is done; 0 when nothing looks like a name.
size_t unescape_name(std::u32string_view text, size_t at, std::u32string& result) {
  size_t end = at + 1;
  while (end < text.size() && end - at <= kLongestName && !ends_name(text[end])) ++end;
  if (end == at + 1) return 0;
  if (end < text.size() && text[end] == U';') ++end;
  const size_t length = end - at - 1;
  for (size_t known = length; known >= 2; --known) {
    const std::string name = to_ascii(text.substr(at + 1, known));
    const auto found = name.empty() ? html_entities().end() : html_entities().find(name);
    if (found == html_entities().end()) continue;
    result += found->second;
    return known + 1;
  }
  result += text.substr(at, length + 1);
  return length + 1;
}

/// What "&...;" stands for, if anything.
std::optional<std::u32string> closed_entity(std::u32string_view reference) {
  if (reference[1] == U'#') {
    std::u32string result;
    const size_t length = unescape_number(reference, 0, result);
    // A reference that gives a semicolon is left alone, as one that ends before its own.
    if (length != reference.size() || result == U";") return std::nullopt;
    return result;
  }
  const std::string name = to_ascii(reference.substr(1));
  for (const Entities* entities : {&html_entities(), &capital_entities()}) {
    const auto found = entities->find(name);
    if (found != entities->end()) return found->second;
  }
  return std::nullopt;
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t done = 0;
    if (text[i] == U'&' && i + 1 < text.size()) {
      done =
          text[i + 1] == U'#' ? unescape_number(text, i, result) : unescape_name(text, i, result);
    }
    if (done == 0) {
      result.push_back(text[i]);
      done = 1;
    }
    i += done;
  }
  return result;
}

std::u32string unescape_closed_html(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    size_t end = i + 1;
    if (text[i] == U'&') {
      if (end < text.size() && text[end] == U'#') ++end;
      const size_t first = end;
      while (end < text.size() && end - first < kLongestClosedName && is_alphanumeric(text[end])) {
        ++end;
      }
      if (end > first && end < text.size() && text[end] == U';') {
        const auto value = closed_entity(text.substr(i, end + 1 - i));
        result += value ? *value : std::u32string(text.substr(i, end + 1 - i));
        i = end + 1;
        continue;
      }
    }
    result.push_back(text[i++]);
  }
  return result;
}

}  // namespace sam3trt
