// Any bytes as a text under Meta's semantics: an error, or a clean text in UTF-8. Also the parts of
// the cleaning by themselves, which see more.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "text/html_entities.hpp"
#include "text/meta_text.hpp"
#include "text/mojibake.hpp"
#include "text/unicode.hpp"

namespace {

void check_decoder(std::string_view bytes) {
  const auto variants = sam3trt::decode_utf8_variants(bytes);
  try {
    const std::u32string strict = sam3trt::decode_utf8(bytes);
    if (variants != strict) std::abort();
    if (sam3trt::encode_utf8(strict) != bytes) std::abort();
  } catch (const sam3trt::Error&) {
    // Not UTF-8: the variants may read it all the same, as well-formed characters.
    if (variants) static_cast<void>(sam3trt::decode_utf8(sam3trt::encode_utf8(*variants)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_decoder(bytes);
  std::u32string latin_1;
  for (const char c : bytes) latin_1.push_back(static_cast<uint8_t>(c));
  if (size <= 4096) {
    static_cast<void>(sam3trt::decode_utf8(sam3trt::encode_utf8(sam3trt::fix_encoding(latin_1))));
    static_cast<void>(sam3trt::decode_utf8(sam3trt::encode_utf8(sam3trt::unescape_html(latin_1))));
  }
  try {
    const std::string cleaned = sam3trt::clean_meta_text(bytes);
    static_cast<void>(sam3trt::decode_utf8(cleaned));
    if (cleaned.starts_with(' ') || cleaned.ends_with(' ')) std::abort();
  } catch (const sam3trt::Error&) {
    // Not UTF-8, or too long.
  }
  return 0;
}
