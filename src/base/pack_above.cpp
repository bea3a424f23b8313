#include "base/pack_above.hpp"

#include <algorithm>
#include <array>

namespace sam3trt {

void pack_above(std::span<const float> values, float threshold, std::span<uint64_t> words) {
  constexpr size_t kBits = 64;
  for (size_t w = 0; w < words.size(); ++w) {
    const auto part = values.subspan(w * kBits, std::min(kBits, values.size() - w * kBits));
    std::array<uint8_t, kBits> inside{};
    if (part.size() == kBits) {  // a loop of known length does several at once
      for (size_t i = 0; i < kBits; ++i) inside[i] = part[i] > threshold ? 1 : 0;
    } else {
      for (size_t i = 0; i < part.size(); ++i) inside[i] = part[i] > threshold ? 1 : 0;
    }
    uint64_t word = 0;
    for (size_t i = 0; i < kBits / 8; ++i) {
      uint64_t eight = 0;
      for (size_t k = 0; k < 8; ++k) eight |= uint64_t{inside[8 * i + k]} << (8 * k);
      // Byte k goes to bit 56 + k.
      word |= ((eight * 0x0102040810204080U) >> 56U) << (8 * i);
    }
    words[w] = word;
  }
}

std::vector<uint64_t> pack_above(std::span<const float> values, float threshold) {
  std::vector<uint64_t> words((values.size() + 63) / 64);
  pack_above(values, threshold, words);
  return words;
}

}  // namespace sam3trt
