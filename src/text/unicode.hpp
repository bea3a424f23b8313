#pragma once

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

/// NFC, runs of white space turned into one blank, each code point lower-cased by itself (so a
/// final sigma gets no special form, and U+0130 becomes two code points).
[[nodiscard]] std::u32string clip_normalize(std::u32string_view text);

inline constexpr size_t kMaxTextBytes = size_t{1} << 22;

}  // namespace sam3trt
