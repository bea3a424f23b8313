// Any bytes as a tokenizer JSON: an error, or a tokenizer that encodes and that survives being
// written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "text/tokenizer.hpp"

namespace {

sam3trt::Tokenizer read_again(const sam3trt::Tokenizer& tokenizer) {
  try {
    return sam3trt::Tokenizer::from_json(tokenizer.to_json(), "again");
  } catch (const sam3trt::Error&) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sam3trt::Semantics;
  using sam3trt::Tokenizer;
  const std::string json(reinterpret_cast<const char*>(data), size);
  try {
    const Tokenizer tokenizer = Tokenizer::from_json(json, "fuzz");
    const std::string texts[] = {"", "a cat's  <|endoftext|> ab\xC4\xB0", json.substr(0, 64)};
    const Tokenizer again = read_again(tokenizer);
    for (const std::string& text : texts) {
      const Semantics semantics = &text == &texts[0] ? Semantics::kHf : Semantics::kMeta;
      try {
        const auto encoded = tokenizer.encode(text, 16, 0, semantics);
        if (encoded.ids.size() != 16 || encoded.mask.size() != 16) std::abort();
        for (const int64_t id : encoded.ids) {
          if (id < 0 || static_cast<size_t>(id) >= tokenizer.vocabulary_size()) std::abort();
        }
        if (again.encode(text, 16, 0, semantics).ids != encoded.ids) std::abort();
      } catch (const sam3trt::Error&) {
        // The text is not UTF-8, or too long.
      }
    }
  } catch (const sam3trt::Error&) {
    // Refused, as almost every input is.
  }
  return 0;
}
