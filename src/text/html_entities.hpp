#pragma once

#include <string>
#include <string_view>

namespace sam3trt {

namespace text_tables {
/// "name=HEX,HEX" for each character reference, between white space; most names end with ";".
extern const std::string_view kHtmlEntities;
/// The same for names in capitals that HTML 5 does not know ("EACUTE;").
extern const std::string_view kCapitalEntities;
}  // namespace text_tables

/// Python's html.unescape: character references as HTML 5 reads them, with and without ";", and the
/// longest known name that a longer one starts with.
[[nodiscard]] std::u32string unescape_html(std::u32string_view text);

/// Only references that end with ";", those in capitals too, as ftfy reads them.
[[nodiscard]] std::u32string unescape_closed_html(std::u32string_view text);

}  // namespace sam3trt
