#include "text/unicode.hpp"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr char32_t kCapitalIWithDot = 0x130;
constexpr char32_t kCombiningDotAbove = 0x307;

[[noreturn]] void throw_icu(const char* what, UErrorCode status) {
  throw Error(ErrorCode::kInternal, std::string("ICU cannot ") + what + ": " + u_errorName(status));
}

std::u16string to_utf16(std::u32string_view text) {
  std::u16string result;
  result.reserve(text.size());
  for (const char32_t c : text) {
    if (c < 0x10000) {
      result.push_back(static_cast<char16_t>(c));
    } else {
      result.push_back(static_cast<char16_t>(0xD7C0 + (c >> 10)));
      result.push_back(static_cast<char16_t>(0xDC00 + (c & 0x3FF)));
    }
  }
  return result;
}

/// `text` holds no lone surrogates.
std::u32string to_utf32(std::u16string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t unit = text[i];
    if (unit >= 0xD800 && unit < 0xDC00 && i + 1 < text.size()) {
      result.push_back(((unit - 0xD800) << 10) + (char32_t{text[++i]} - 0xDC00) + 0x10000);
    } else {
      result.push_back(unit);
    }
  }
  return result;
}

std::u16string nfc(std::u16string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const UNormalizer2* nfc = unorm2_getNFCInstance(&status);
  if (U_FAILURE(status)) throw_icu("load its NFC data", status);
  // One UTF-16 unit becomes at most three (Unicode Annex 15, section 9).
  std::u16string result(text.size() * 3, u'\0');
  const int32_t length =
      unorm2_normalize(nfc, text.data(), static_cast<int32_t>(text.size()), result.data(),
                       static_cast<int32_t>(result.size()), &status);
  if (U_FAILURE(status)) throw_icu("normalize a text", status);
  result.resize(static_cast<size_t>(length));
  return result;
}

}  // namespace

CharClass char_class(char32_t c) {
  const auto code = static_cast<UChar32>(c);
  if (u_isUWhiteSpace(code) != 0) return CharClass::kSpace;
  const uint32_t category = U_GET_GC_MASK(code);
  if ((category & U_GC_L_MASK) != 0) return CharClass::kLetter;
  if ((category & U_GC_N_MASK) != 0) return CharClass::kNumber;
  return CharClass::kOther;
}

std::u32string decode_utf8(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw_bad_input("a text of " + std::to_string(text.size()) + " bytes is too long: at most " +
                    std::to_string(kMaxTextBytes) + " are accepted");
  }
  std::u16string units(text.size(), u'\0');
  UErrorCode status = U_ZERO_ERROR;
  int32_t length = 0;
  u_strFromUTF8(units.data(), static_cast<int32_t>(units.size()), &length, text.data(),
                static_cast<int32_t>(text.size()), &status);
  if (status == U_INVALID_CHAR_FOUND) {
    throw_bad_input("a text is not valid UTF-8: pass it in that encoding");
  }
  if (U_FAILURE(status)) throw_icu("decode a text", status);
  units.resize(static_cast<size_t>(length));
  return to_utf32(units);
}

std::string encode_utf8(std::u32string_view text) {
  std::string result;
  result.reserve(text.size());
  const auto put = [&result](char32_t byte) { result.push_back(static_cast<char>(byte)); };
  for (const char32_t c : text) {
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xC0 | (c >> 6));
      put(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
      put(0xE0 | (c >> 12));
      put(0x80 | ((c >> 6) & 0x3F));
      put(0x80 | (c & 0x3F));
    } else {
      put(0xF0 | (c >> 18));
      put(0x80 | ((c >> 12) & 0x3F));
      put(0x80 | ((c >> 6) & 0x3F));
      put(0x80 | (c & 0x3F));
    }
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  constexpr size_t kLongest = 200;
  size_t end = std::min(text.size(), kLongest);
  while (end < text.size() && end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  std::string result = "'";
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      result += c;
    } else {
      constexpr std::string_view kDigits = "0123456789abcdef";
      result += "\\x";
      result += kDigits[byte >> 4];
      result += kDigits[byte & 0xF];
    }
  }
  return result + (end < text.size() ? "...'" : "'");
}

std::optional<std::u32string> decode_utf8_variants(std::string_view bytes) {
  std::u32string result;
  const auto byte = [&](size_t i) {
    return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : uint8_t{0};
  };
  const auto is_further = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const auto bits = [&](size_t i) { return char32_t{byte(i)} & 0x3F; };
  for (size_t i = 0; i < bytes.size();) {
    const char32_t first = byte(i);
    size_t length = 1;
    char32_t code = first;
    char32_t smallest = 0;
    if (first >= 0xC0 && first < 0xE0 && is_further(i + 1)) {
      length = 2;
      code = ((first & 0x1F) << 6) | bits(i + 1);
      smallest = first == 0xC0 && byte(i + 1) == 0x80 ? 0 : 0x80;
    } else if (first >= 0xE0 && first < 0xF0 && is_further(i + 1) && is_further(i + 2)) {
      length = 3;
      code = ((first & 0xF) << 12) | (bits(i + 1) << 6) | bits(i + 2);
      smallest = 0x800;
    } else if (first >= 0xF0 && first < 0xF8 && is_further(i + 1) && is_further(i + 2) &&
               is_further(i + 3)) {
      length = 4;
      code = ((first & 0x7) << 18) | (bits(i + 1) << 12) | (bits(i + 2) << 6) | bits(i + 3);
      smallest = 0x10000;
    } else if (first >= 0x80) {
      return std::nullopt;
    }
    if (code < smallest || code > 0x10FFFF) return std::nullopt;
    if (code >= 0xD800 && code < 0xDC00 && byte(i + 3) == 0xED && byte(i + 4) >= 0xB0 &&
        is_further(i + 4) && is_further(i + 5)) {
      code = 0x10000 + ((code & 0x3FF) << 10) + ((bits(i + 4) & 0xF) << 6) + bits(i + 5);
      length = 6;
    }
    if (code >= 0xD800 && code < 0xE000) return std::nullopt;
    result.push_back(code);
    i += length;
  }
  return result;
}

std::u32string to_nfc(std::u32string_view text) { return to_utf32(nfc(to_utf16(text))); }

std::u32string to_lower(std::u32string_view text) {
  const std::u16string units = to_utf16(text);
  // One UTF-16 unit becomes at most three (SpecialCasing.txt).
  std::u16string result(units.size() * 3, u'\0');
  UErrorCode status = U_ZERO_ERROR;
  const int32_t length =
      u_strToLower(result.data(), static_cast<int32_t>(result.size()), units.data(),
                   static_cast<int32_t>(units.size()), "", &status);
  if (U_FAILURE(status)) throw_icu("lower-case a text", status);
  result.resize(static_cast<size_t>(length));
  return to_utf32(result);
}

bool is_python_space(char32_t c) {
  return char_class(c) == CharClass::kSpace || (c >= 0x1C && c <= 0x1F);
}

bool is_decimal_digit(char32_t c) {
  return u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}

std::u32string clip_normalize(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (const char32_t c : to_nfc(text)) {
    if (char_class(c) == CharClass::kSpace) {
      if (result.empty() || result.back() != U' ') result.push_back(U' ');
    } else if (c == kCapitalIWithDot) {
      result.push_back(U'i');
      result.push_back(kCombiningDotAbove);
    } else {
      result.push_back(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
    }
  }
  return result;
}

}  // namespace sam3trt
