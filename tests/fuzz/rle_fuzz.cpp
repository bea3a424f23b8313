// The first two bytes are a mask's size, the third selects the direction: the others are a
// compressed string, or the mask's pixels.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/rle.hpp"

namespace {

void decode_any(const std::string& text, int64_t height, int64_t width) {
  try {
    const std::vector<uint32_t> counts = sam3trt::rle_from_string(text);
    // Other strings may mean the same (a number in more groups than it needs), runs may not.
    if (sam3trt::rle_from_string(sam3trt::rle_to_string(counts)) != counts) std::abort();
    const auto mask = sam3trt::rle_decode(counts, height, width);
    if (mask.size() != static_cast<size_t>(height * width)) std::abort();
  } catch (const sam3trt::Error&) {
    // Refused.
  }
}

void encode_any(std::vector<uint8_t> mask, int64_t height, int64_t width) {
  mask.resize(static_cast<size_t>(height * width));
  for (uint8_t& value : mask) value &= 1;
  const auto counts = sam3trt::rle_counts(mask, height, width);
  const auto text = sam3trt::rle_to_string(counts);
  if (sam3trt::rle_decode(sam3trt::rle_from_string(text), height, width) != mask) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const int64_t height = data[0];
  const int64_t width = data[1];
  if (data[2] % 2 == 0) {
    decode_any(std::string(data + 3, data + size), height, width);
  } else {
    encode_any(std::vector<uint8_t>(data + 3, data + size), height, width);
  }
  return 0;
}
