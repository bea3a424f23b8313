#include "tracking/bit_mask.hpp"

#include <algorithm>
#include <bit>

namespace sam3trt {

BitMask::BitMask(std::span<const float> logits, float threshold)
    : words_((logits.size() + 63) / 64) {
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > threshold) words_[i / 64] |= uint64_t{1} << (i % 64);
  }
  for (const uint64_t word : words_) area_ += std::popcount(word);
}

int64_t BitMask::overlap(const BitMask& other) const {
  int64_t both = 0;
  const size_t count = std::min(words_.size(), other.words_.size());
  for (size_t i = 0; i < count; ++i) both += std::popcount(words_[i] & other.words_[i]);
  return both;
}

float mask_iou(const BitMask& a, const BitMask& b) {
  const int64_t both = a.overlap(b);
  const int64_t any = a.area() + b.area() - both;
  return static_cast<float>(both) / static_cast<float>(std::max<int64_t>(any, 1));
}

}  // namespace sam3trt
