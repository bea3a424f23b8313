// Any bytes as a list of merges, packed or not: an error, or a tokenizer that encodes and that
// survives being written and read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "text/tokenizer.hpp"

namespace {

void check(const sam3trt::Tokenizer& tokenizer) {
  const auto again = sam3trt::Tokenizer::from_json(tokenizer.to_json(), "again");
  for (const auto semantics : {sam3trt::Semantics::kHf, sam3trt::Semantics::kMeta}) {
    const auto ids = tokenizer.encode_plain("a cat's ab & caf\xC3\xA9", semantics);
    if (ids.empty() || ids != again.encode_plain("a cat's ab & caf\xC3\xA9", semantics)) {
      std::abort();
    }
    static_cast<void>(tokenizer.decode(ids));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    check(sam3trt::Tokenizer::from_merges(bytes, "fuzz"));
  } catch (const sam3trt::Error&) {
    // Refused, as almost every input is.
  }
  try {
    check(sam3trt::Tokenizer::from_merges("#version: 0.2\n" + std::string(bytes), "fuzz"));
  } catch (const sam3trt::Error&) {
    // So is most text.
  }
  return 0;
}
