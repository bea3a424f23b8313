#include "server/brush_rle.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/error.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kChannels = 4;
constexpr int kValueBits = 8;
/// Bits of a run's length, of which each run chooses one by 2 bits.
constexpr int kLengthBits[] = {3, 4, 8, 16};

/// Bits, the highest of each number first.
class BitWriter {
 public:
  void put(uint64_t value, int bits) {
    for (int bit = bits - 1; bit >= 0; --bit) {
      if (used_ == 0) bytes_.push_back(0);
      const auto set = static_cast<uint8_t>((value >> static_cast<unsigned>(bit)) & 1U);
      bytes_.back() = static_cast<uint8_t>(bytes_.back() | (set << (7U - used_)));
      used_ = (used_ + 1) % 8;
    }
  }

  [[nodiscard]] std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
  unsigned used_ = 0;  ///< Bits of the last byte.
};

/// A run is a bit 1, the choice of its length's bits, the length less 1, and its value.
void put_run(BitWriter& bits, uint64_t length, uint8_t value) {
  while (length > 0) {
    int choice = 0;
    while (choice < 3 && length > uint64_t{1} << static_cast<unsigned>(kLengthBits[choice])) {
      ++choice;
    }
    const uint64_t taken =
        std::min(length, uint64_t{1} << static_cast<unsigned>(kLengthBits[choice]));
    bits.put(1, 1);
    bits.put(static_cast<uint64_t>(choice), 2);
    bits.put(taken - 1, kLengthBits[choice]);
    bits.put(value, kValueBits);
    length -= taken;
  }
}

}  // namespace

std::vector<uint8_t> brush_rle(std::span<const uint32_t> counts, int64_t height, int64_t width) {
  const std::vector<uint8_t> mask = rle_decode(counts, height, width);
  if (mask.size() >= size_t{1} << 30U) throw_bad_input("a mask is too large for a brush region");
  BitWriter bits;
  bits.put(mask.size() * kChannels, 32);
  bits.put(kValueBits - 1, 5);
  for (const int length : kLengthBits) bits.put(static_cast<uint64_t>(length - 1), 4);
  for (auto begin = mask.begin(); begin != mask.end();) {
    const auto end =
        std::find_if(begin, mask.end(), [&](uint8_t pixel) { return pixel != *begin; });
    put_run(bits, static_cast<uint64_t>(end - begin) * kChannels, *begin != 0 ? 255 : 0);
    begin = end;
  }
  return bits.take();
}

}  // namespace sam3trt
