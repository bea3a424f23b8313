#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

/// Bit i % 64 of word i / 64 says whether value i is above the threshold; `words` are as many as
/// that takes, and what is left of the last one is 0.
void pack_above(std::span<const float> values, float threshold, std::span<uint64_t> words);
[[nodiscard]] std::vector<uint64_t> pack_above(std::span<const float> values, float threshold);

}  // namespace sam3trt
