#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sam3trt {

/// Whether neighbours occur in the text that point to bytes decoded with the wrong encoding.
[[nodiscard]] bool looks_like_mojibake(std::u32string_view text);

/// Undoes decoding with a wrong code page ("cafÃ©"), as often as it was done, whole or in parts, as
/// ftfy's `fix_encoding` does: UTF-8 that was read as one of ten code pages, also with blanks for
/// U+00A0 or with bytes lost; C1 controls that were characters of Windows-1252. Text that does not
/// look like that comes back as it is.
[[nodiscard]] std::u32string fix_encoding(std::u32string text);

/// The character of a byte in Windows-1252; those that it leaves open are themselves.
[[nodiscard]] char32_t windows_1252(uint8_t byte);

/// Puts characters of Windows-1252 in the place of C1 controls.
[[nodiscard]] std::u32string fix_c1_controls(std::u32string text);

/// Whether set number `set` of text/mojibake_tables.hpp holds the character.
[[nodiscard]] bool set_holds(uint8_t set, char32_t c);

}  // namespace sam3trt
