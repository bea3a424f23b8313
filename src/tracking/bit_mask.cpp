#include "tracking/bit_mask.hpp"

#include <algorithm>
#include <utility>

#include "base/pack_above.hpp"

namespace sam3trt {
namespace {

/// Bits that count(word) gives, without an instruction that not every processor has: in a loop the
/// compiler does several words at once. Sums of 8 bits each, of at most 31 words.
template <typename Word>
int64_t count_bits(size_t begin, size_t end, const Word& word) {
  constexpr size_t kTogether = 31;  // 8 * 31 fits a byte
  int64_t bits = 0;
  while (begin < end) {
    const size_t stop = std::min(begin + kTogether, end);
    uint64_t bytes = 0;
    for (; begin < stop; ++begin) {
      uint64_t x = word(begin);
      x -= (x >> 1U) & 0x5555555555555555U;
      x = (x & 0x3333333333333333U) + ((x >> 2U) & 0x3333333333333333U);
      bytes += (x + (x >> 4U)) & 0x0F0F0F0F0F0F0F0FU;
    }
    const uint64_t pairs = (bytes & 0x00FF00FF00FF00FFU) + ((bytes >> 8U) & 0x00FF00FF00FF00FFU);
    bits += static_cast<int64_t>((pairs * 0x0001000100010001U) >> 48U);
  }
  return bits;
}

}  // namespace

BitMask::BitMask(std::span<const float> logits, float threshold)
    : BitMask(pack_above(logits, threshold)) {}

BitMask::BitMask(std::vector<uint64_t> words) : words_(std::move(words)) {
  end_ = words_.size();
  while (end_ > 0 && words_[end_ - 1] == 0) --end_;
  while (first_ < end_ && words_[first_] == 0) ++first_;
  area_ = count_bits(first_, end_, [&](size_t i) { return words_[i]; });
}

int64_t BitMask::overlap(const BitMask& other) const {
  return count_bits(std::max(first_, other.first_), std::min(end_, other.end_),
                    [&](size_t i) { return words_[i] & other.words_[i]; });
}

float mask_iou(const BitMask& a, const BitMask& b) {
  const int64_t both = a.overlap(b);
  const int64_t any = a.area() + b.area() - both;
  return static_cast<float>(both) / static_cast<float>(std::max<int64_t>(any, 1));
}

}  // namespace sam3trt
