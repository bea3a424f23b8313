#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// Run lengths of a binary mask in column-major order, starting with zeros, as COCO counts them.
/// `mask` is height x width bytes, row-major, non-zero is inside.
[[nodiscard]] std::vector<uint32_t> rle_counts(std::span<const uint8_t> mask, int64_t height,
                                               int64_t width);

/// COCO's compressed string of run lengths, byte for byte as pycocotools writes it.
[[nodiscard]] std::string rle_to_string(std::span<const uint32_t> counts);

/// Inverse of rle_to_string; throws Error(kBadInput) for a malformed string.
[[nodiscard]] std::vector<uint32_t> rle_from_string(std::string_view text);

/// Inverse of rle_counts; throws Error(kBadInput) when the runs do not fill the mask exactly.
[[nodiscard]] std::vector<uint8_t> rle_decode(std::span<const uint32_t> counts, int64_t height,
                                              int64_t width);

/// Pixels inside.
[[nodiscard]] int64_t rle_area(std::span<const uint32_t> counts);

/// Pixels inside both of two masks of one size.
[[nodiscard]] int64_t rle_intersection(std::span<const uint32_t> a, std::span<const uint32_t> b);

/// Run lengths of the pixels inside `a` and not inside `b`, as rle_counts would give them. Throws
/// Error(kBadInput) when the runs of one do not fill a mask of that size exactly.
[[nodiscard]] std::vector<uint32_t> rle_subtract(std::span<const uint32_t> a,
                                                 std::span<const uint32_t> b, int64_t height,
                                                 int64_t width);

/// The same of the pixels inside either.
[[nodiscard]] std::vector<uint32_t> rle_union(std::span<const uint32_t> a,
                                              std::span<const uint32_t> b, int64_t height,
                                              int64_t width);

/// The pixels inside, packed in the order of the runs: bit i % 64 of word i / 64 is pixel i. Throws
/// as rle_subtract does.
[[nodiscard]] std::vector<uint64_t> rle_bits(std::span<const uint32_t> counts, int64_t height,
                                             int64_t width);

/// Inverse of rle_bits, as rle_counts would give them; bits beyond the last pixel are not looked
/// at.
[[nodiscard]] std::vector<uint32_t> rle_of_bits(std::span<const uint64_t> bits, int64_t height,
                                                int64_t width);

/// x0 y0 x1 y1: first and last column and row of the pixels inside; zeros for an empty mask.
[[nodiscard]] std::array<float, 4> rle_box(std::span<const uint32_t> counts, int64_t height);

}  // namespace sam3trt
