// Arbitrary bytes as a file of precision recipes: an error, or recipes of every precision.

#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "precision/recipe.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using sam3trt::Precision;
  try {
    const auto book =
        sam3trt::RecipeBook::parse({reinterpret_cast<const char*>(data), size}, "input");
    for (const Precision precision :
         {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
      const auto& variants = book.variants(precision);
      if (variants.empty()) std::abort();
      for (const auto& recipe : variants) {
        if (recipe.precision != precision || recipe.sha256().size() != 64) std::abort();
      }
    }
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
