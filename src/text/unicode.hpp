#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sam3trt {

/// What CLIP's splitting rules tell apart.
enum class CharClass { kSpace, kLetter, kNumber, kOther };

/// General categories L* and N*, property White_Space, anything else.
[[nodiscard]] CharClass char_class(char32_t c);

/// Strict decoding; throws Error(kBadInput) for ill-formed UTF-8 and for texts of more than
/// kMaxTextBytes bytes.
[[nodiscard]] std::u32string decode_utf8(std::string_view text);

[[nodiscard]] std::string encode_utf8(std::u32string_view text);

/// A text of UTF-8 between quotes for a message; long ones are cut between two characters, and
/// control characters are shown as "\x00" (a message ends at a NUL).
[[nodiscard]] std::string in_quotes(std::string_view text);

/// Strict decoding but for two variants: 0xC0 0x80 is U+0000, and a pair of surrogates of three
/// bytes each is the character it stands for (CESU-8). Nothing for other ill-formed bytes.
[[nodiscard]] std::optional<std::u32string> decode_utf8_variants(std::string_view bytes);

[[nodiscard]] std::u32string to_nfc(std::u32string_view text);

/// Full mapping without a locale: a sigma at the end of a word has its final form.
[[nodiscard]] std::u32string to_lower(std::u32string_view text);

/// What Python's str.isspace takes for white space: White_Space and U+001C to U+001F.
[[nodiscard]] bool is_python_space(char32_t c);

/// General category Nd.
[[nodiscard]] bool is_decimal_digit(char32_t c);

/// NFC, runs of white space turned into one blank, each code point lower-cased by itself (so a
/// final sigma gets no special form, and U+0130 becomes two code points).
[[nodiscard]] std::u32string clip_normalize(std::u32string_view text);

inline constexpr size_t kMaxTextBytes = size_t{1} << 22;

}  // namespace sam3trt
