#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

/// A mask, given as COCO run lengths, as Label Studio's brush regions have it: run lengths of an
/// image of 4 channels, by rows, packed into bits (the format of thi.ng/rle-pack); inside all
/// channels are 255. Throws Error(kBadInput) when the runs do not fill the mask or it has 2^30
/// pixels or more.
[[nodiscard]] std::vector<uint8_t> brush_rle(std::span<const uint32_t> counts, int64_t height,
                                             int64_t width);

}  // namespace sam3trt
