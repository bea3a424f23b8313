#include "text/meta_text.hpp"

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "text/html_entities.hpp"
#include "text/mojibake.hpp"
#include "text/mojibake_tables.hpp"
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

using text_tables::Replacement;

constexpr char32_t kEscape = 0x1B;

std::u32string replace_each(std::u32string_view text, std::span<const Replacement> table) {
  std::u32string result;
  result.reserve(text.size());
  for (const char32_t c : text) {
    const auto found = std::ranges::lower_bound(table, c, {}, &Replacement::from);
    if (found != table.end() && found->from == c) {
      result += found->to;
    } else {
      result.push_back(c);
    }
  }
  return result;
}

std::u32string uncurl_quotes(std::u32string text) {
  for (char32_t& c : text) {
    if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) c = U'\'';
    if (c >= 0x201C && c <= 0x201F) c = U'"';
  }
  return text;
}

std::u32string fix_line_ends(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == U'\r' && i + 1 < text.size() && text[i + 1] == U'\n') continue;
    const bool ends = c == U'\r' || c == 0x2028 || c == 0x2029 || c == 0x85;
    result.push_back(ends ? U'\n' : c);
  }
  return result;
}

bool is_ascii_letter(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z'); }

/// Drops ESC "[" digits and semicolons, letter.
std::u32string remove_terminal_escapes(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kEscape && i + 1 < text.size() && text[i + 1] == U'[') {
      size_t end = i + 2;
      while (end < text.size() && (text[end] == U';' || is_decimal_digit(text[end]))) ++end;
      if (end < text.size() && is_ascii_letter(text[end])) {
        i = end;
        continue;
      }
    }
    result.push_back(text[i]);
  }
  return result;
}

std::u32string fix_line(std::u32string text, bool unescape) {
  // Every round but the last shortens the text or decodes it; the limit is for safety.
  for (size_t round = 0; round < kMaxMetaTextBytes; ++round) {
    std::u32string fixed = unescape ? unescape_closed_html(text) : text;
    fixed = fix_c1_controls(fix_encoding(std::move(fixed)));
    fixed = replace_each(fixed, text_tables::kLigatures);
    fixed = replace_each(fixed, text_tables::kWidths);
    fixed = fix_line_ends(uncurl_quotes(std::move(fixed)));
    fixed = remove_terminal_escapes(fixed);
    std::erase_if(fixed, [](char32_t c) { return set_holds(text_tables::kRemovedControls, c); });
    fixed = to_nfc(fixed);
    if (fixed == text) break;
    text = std::move(fixed);
  }
  return text;
}

std::u32string_view strip(std::u32string_view text) {
  while (!text.empty() && is_python_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_python_space(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string collapse_spaces(std::u32string_view text) {
  std::u32string result;
  for (const char32_t c : text) {
    if (char_class(c) != CharClass::kSpace) {
      result.push_back(c);
    } else if (result.empty() || result.back() != U' ') {
      result.push_back(U' ');
    }
  }
  return result;
}

}  // namespace

std::u32string fix_text(std::u32string_view text) {
  std::u32string result;
  bool unescape = true;
  while (!text.empty()) {
    const std::u32string_view line =
        text.substr(0, std::min(text.find(U'\n'), text.size() - 1) + 1);
    text.remove_prefix(line.size());
    // One "<" makes the rest of the text HTML, whose references are left alone.
    if (line.find(U'<') != std::u32string_view::npos) unescape = false;
    result += fix_line(std::u32string(line), unescape);
  }
  return result;
}

std::string clean_meta_text(std::string_view text) {
  if (text.size() > kMaxMetaTextBytes) {
    throw_bad_input("a text of " + std::to_string(text.size()) + " bytes is too long: at most " +
                    std::to_string(kMaxMetaTextBytes) + " are accepted with Meta's semantics");
  }
  const std::u32string fixed = unescape_html(unescape_html(fix_text(decode_utf8(text))));
  return encode_utf8(to_lower(strip(collapse_spaces(strip(fixed)))));
}

}  // namespace sam3trt
