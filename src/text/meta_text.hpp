#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sam3trt {

/// What ftfy 6.3.1's `fix_text` makes of a text, line by line until nothing changes: character
/// references of HTML (unless the text holds a "<"), text that was decoded with the wrong encoding,
/// Latin ligatures, full and half width, curly quotes, line ends, escape sequences of terminals,
/// control characters, NFC.
[[nodiscard]] std::u32string fix_text(std::u32string_view text);

/// A text as Meta's tokenizer cleans it before it splits it into words (sam3 0.1.4,
/// sam3/model/tokenizer_ve.py): fix_text, character references twice, one blank for white space and
/// none at the ends, lower case with the final sigma. UTF-8 in and out. Throws Error(kBadInput) for
/// invalid UTF-8 and for more than kMaxMetaTextBytes bytes.
[[nodiscard]] std::string clean_meta_text(std::string_view text);

/// Cleaning goes over a text again as long as it changes, which some texts make take long.
inline constexpr size_t kMaxMetaTextBytes = size_t{1} << 14;

}  // namespace sam3trt
