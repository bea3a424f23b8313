#include "text/mojibake.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/mojibake_tables.hpp"
#include "text/unicode.hpp"

// The rules are those of ftfy 6.3.1: `fix_encoding` and what it calls, ftfy/badness.py and
// ftfy/chardata.py. Their data is in text/mojibake_tables.

namespace sam3trt {
namespace {

using text_tables::CharRange;
using text_tables::CodePage;
using text_tables::kAnySet;
using text_tables::kBadNeighbours;
using text_tables::kCharRanges;
using text_tables::kCharSetStarts;
using text_tables::kCodePages;
using text_tables::kContinuation;
using text_tables::kFirstOf2;
using text_tables::kFirstOf3;
using text_tables::kFirstOf4;
using text_tables::kLossyUtf8;
using text_tables::kSpacedUtf8;
using text_tables::kSpaceSet;
using text_tables::kStrictContinuation;
using text_tables::kWordSet;
using text_tables::MojibakeRule;

constexpr char32_t kReplacement = 0xFFFD;
constexpr char kSubstitute = 0x1A;
constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";
// Real text needs one or two of each; the limits are for texts that are made to need more.
constexpr int kMostRounds = 64;
constexpr int kDeepest = 16;

std::u32string fix_encoding(std::u32string text, int depth);

uint8_t byte_of(char c) { return static_cast<uint8_t>(c); }

/// The characters of a text, or the bytes of a string.
char32_t at(std::u32string_view text, size_t i) { return text[i]; }
char32_t at(std::string_view bytes, size_t i) { return byte_of(bytes[i]); }

template <typename Text>
bool matches(const MojibakeRule& rule, Text text, size_t start) {
  if (rule.at_start && start > 0) return false;
  if (text.size() - start < rule.length) return false;
  for (size_t i = 0; i < rule.length; ++i) {
    if (!set_holds(rule.sets[i], at(text, start + i))) return false;
  }
  return true;
}

/// Length of the first of the rules that matches at `start`; 0 when none does.
template <typename Text>
size_t match_length(std::span<const MojibakeRule> rules, Text text, size_t start) {
  for (const MojibakeRule& rule : rules) {
    if (matches(rule, text, start)) return rule.length;
  }
  return 0;
}

/// Rewrites every match, from left to right, by `rewrite(match, result)`.
template <typename Rewrite>
std::string substitute(std::span<const MojibakeRule> rules, std::string_view bytes,
                       Rewrite rewrite) {
  std::string result;
  result.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const size_t length =
        byte_of(bytes[i]) < 0x80 && bytes[i] != kSubstitute ? 0 : match_length(rules, bytes, i);
    if (length > 0) {
      rewrite(bytes.substr(i, length), result);
    } else {
      result.push_back(bytes[i]);
    }
    i += std::max<size_t>(length, 1);
  }
  return result;
}

/// "Ã" as a word of its own was an "à" before its U+00A0 became a blank: the blank stays and U+00A0
/// is put before it, except in a few Portuguese words.
std::string restore_a_grave(std::string_view bytes) {
  constexpr std::string_view kWord = "\xC3 ";
  constexpr std::string_view kExceptions[] = {" ", "quele", "quela", "quilo", "s "};
  std::string result;
  for (size_t i = 0; i < bytes.size();) {
    const std::string_view rest = bytes.substr(i);
    const bool is_word = rest.starts_with(kWord) &&
                         std::ranges::none_of(kExceptions, [&](std::string_view exception) {
                           return rest.substr(kWord.size()).starts_with(exception);
                         });
    if (is_word) {
      result += "\xC3\xA0 ";
      i += kWord.size();
    } else {
      result.push_back(bytes[i++]);
    }
  }
  return result;
}

bool any_match(std::span<const MojibakeRule> rules, std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (byte_of(bytes[i]) >= 0x80 && match_length(rules, bytes, i) > 0) return true;
  }
  return false;
}

std::string restore_no_break_spaces(std::string_view bytes) {
  return substitute(kSpacedUtf8, restore_a_grave(bytes),
                    [](std::string_view match, std::string& result) {
                      for (const char c : match) result.push_back(c == ' ' ? '\xA0' : c);
                    });
}

std::string replace_lossy_sequences(std::string_view bytes) {
  return substitute(kLossyUtf8, bytes,
                    [](std::string_view, std::string& result) { result += kReplacementUtf8; });
}

/// Characters to bytes of a code page.
class Encoder {
 public:
  explicit Encoder(const CodePage& page) : sloppy_(page.sloppy) {
    for (size_t i = 0; i < 128; ++i) {
      upper_.emplace(page.upper[i], static_cast<char>(0x80 + i));
    }
  }

  /// Nothing when a character is not in the code page.
  [[nodiscard]] std::optional<std::string> encode(std::u32string_view text) const {
    std::string bytes;
    bytes.reserve(text.size());
    for (const char32_t c : text) {
      if (sloppy_ && c == kReplacement) {
        bytes.push_back(kSubstitute);
      } else if (c < 0x80) {
        if (sloppy_ && c == static_cast<char32_t>(kSubstitute)) return std::nullopt;
        bytes.push_back(static_cast<char>(c));
      } else {
        const auto found = upper_.find(c);
        if (found == upper_.end()) return std::nullopt;
        bytes.push_back(found->second);
      }
    }
    return bytes;
  }

 private:
  bool sloppy_;
  std::unordered_map<char32_t, char> upper_;
};

const Encoder& encoder(size_t page) {
  static const std::vector<Encoder> kEncoders(kCodePages.begin(), kCodePages.end());
  return kEncoders[page];
}

std::optional<std::u32string> read_as_utf8(const CodePage& page, std::string bytes) {
  if (page.name != "macroman" && any_match(kSpacedUtf8, bytes)) {
    bytes = restore_no_break_spaces(bytes);
  }
  if (page.sloppy) bytes = replace_lossy_sequences(bytes);
  return decode_utf8_variants(bytes);
}

/// End of the run of sequences that begins at `start` and that look like UTF-8 in a code page.
size_t utf8_like_end(std::u32string_view text, size_t start) {
  const auto holds = [&](size_t i, uint8_t set) {
    return i < text.size() && set_holds(set, text[i]);
  };
  size_t end = start;
  for (;;) {
    size_t further = 0;
    while (further < 3 && holds(end + 1 + further, kContinuation)) ++further;
    if (further >= 1 && holds(end, kFirstOf2)) {
      end += 2;
    } else if (further >= 2 && holds(end, kFirstOf3)) {
      end += 3;
    } else if (further >= 3 && holds(end, kFirstOf4)) {
      end += 4;
    } else {
      return end;
    }
  }
}

/// Fixes the parts that look like UTF-8 in a code page, each by itself.
std::u32string fix_parts(std::u32string_view text, int depth) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const bool may_start = i == 0 || !set_holds(kStrictContinuation, text[i - 1]);
    const size_t end = may_start ? utf8_like_end(text, i) : i;
    if (end == i) {
      result.push_back(text[i++]);
      continue;
    }
    const std::u32string part(text.substr(i, end - i));
    const bool fixable = part.size() < text.size() && looks_like_mojibake(part);
    result += fixable && depth < kDeepest ? fix_encoding(part, depth + 1) : part;
    i = end;
  }
  return result;
}

bool is_c1(char32_t c) { return c >= 0x80 && c <= 0x9F; }

/// The text, which is all Latin-1, with its bytes read as Windows-1252; nothing when one of them
/// is none there.
std::optional<std::u32string> as_windows_1252(const std::u32string& text) {
  std::u32string result;
  for (const char32_t c : text) {
    if (c > 0xFF) return std::nullopt;
    const char32_t read = windows_1252(static_cast<uint8_t>(c));
    if (is_c1(c) && read == c) return std::nullopt;
    result.push_back(is_c1(c) ? read : c);
  }
  return result;
}

std::u32string fix_once(const std::u32string& text, int depth) {
  if (!looks_like_mojibake(text)) return text;
  for (size_t page = 0; page < kCodePages.size(); ++page) {
    const auto bytes = encoder(page).encode(text);
    if (!bytes) continue;
    if (auto fixed = read_as_utf8(kCodePages[page], *bytes)) return *fixed;
  }
  std::u32string parts = fix_parts(text, depth);
  if (parts != text) return parts;
  const auto windows = as_windows_1252(text);
  if (windows && *windows != text) return *windows;
  return fix_c1_controls(text);
}

std::u32string fix_encoding(std::u32string text, int depth) {
  for (int round = 0; round < kMostRounds; ++round) {
    std::u32string fixed = fix_once(text, depth);
    if (fixed == text) break;
    text = std::move(fixed);
  }
  return text;
}

}  // namespace

bool set_holds(uint8_t set, char32_t c) {
  if (set == kAnySet) return c != U'\n';
  if (set == kSpaceSet) return is_python_space(c);
  if (set == kWordSet) {
    const CharClass kind = char_class(c);
    return kind == CharClass::kLetter || kind == CharClass::kNumber || c == U'_';
  }
  const auto ranges =
      kCharRanges.subspan(kCharSetStarts[set], kCharSetStarts[set + 1U] - kCharSetStarts[set]);
  const auto* const after = std::ranges::upper_bound(ranges, c, {}, &CharRange::first).base();
  return after != ranges.data() && c <= (after - 1)->last;
}

bool looks_like_mojibake(std::u32string_view text) {
  const auto is_ascii = [](char32_t c) { return c < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (match_length(kBadNeighbours, text, i) > 0) return true;
  }
  return false;
}

std::u32string fix_encoding(std::u32string text) { return fix_encoding(std::move(text), 0); }

char32_t windows_1252(uint8_t byte) {
  static const CodePage& page = *std::ranges::find(kCodePages, "windows-1252", &CodePage::name);
  return byte < 0x80 ? byte : page.upper[byte - 0x80];
}

std::u32string fix_c1_controls(std::u32string text) {
  for (char32_t& c : text) {
    if (is_c1(c)) c = windows_1252(static_cast<uint8_t>(c));
  }
  return text;
}

}  // namespace sam3trt
