#include "image/rle.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>

#include "base/checked.hpp"
#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Columns that are gathered at a time: one cache line of each row.
constexpr size_t kPanel = 64;

size_t pixel_count(int64_t height, int64_t width) {
  const int64_t shape[] = {height, width};
  const auto count = checked_element_count(shape);
  if (!count || *count > std::numeric_limits<uint32_t>::max()) {
    throw_bad_input("a mask of " + std::to_string(width) + "x" + std::to_string(height) +
                    " pixels cannot be run-length coded");
  }
  return static_cast<size_t>(*count);
}

/// Pixels of a mask of that size; throws when the runs do not fill it exactly.
size_t filled_size(std::span<const uint32_t> counts, int64_t height, int64_t width) {
  const size_t pixels = pixel_count(height, width);
  uint64_t total = 0;
  for (const uint32_t count : counts) total += count;
  if (total != pixels) {
    throw_bad_input("a mask's runs have " + std::to_string(total) + " pixels, expected " +
                    std::to_string(width) + "x" + std::to_string(height));
  }
  return pixels;
}

/// The pixels where `is_inside(inside a, inside b)`, which is false outside both. Runs may be
/// empty.
template <typename Rule>
std::vector<uint32_t> combine(std::span<const uint32_t> a, std::span<const uint32_t> b,
                              uint64_t pixels, Rule is_inside) {
  std::vector<uint32_t> counts;
  counts.reserve(a.size() + b.size());
  uint64_t begin = 0;  // of the run that grows
  bool current = false;
  size_t i = 0;
  size_t j = 0;
  uint64_t a_end = a.empty() ? pixels : a[0];
  uint64_t b_end = b.empty() ? pixels : b[0];
  for (uint64_t at = 0; at < pixels;) {
    while (a_end == at && i + 1 < a.size()) a_end += a[++i];
    while (b_end == at && j + 1 < b.size()) b_end += b[++j];
    const bool inside = is_inside(i % 2 == 1, j % 2 == 1);
    if (inside != current) {
      counts.push_back(static_cast<uint32_t>(at - begin));
      begin = at;
      current = inside;
    }
    at = std::min(a_end, b_end);
  }
  counts.push_back(static_cast<uint32_t>(pixels - begin));
  return counts;
}

}  // namespace

std::vector<uint32_t> rle_counts(std::span<const uint8_t> mask, int64_t height, int64_t width) {
  if (mask.size() != pixel_count(height, width)) {
    throw Error(ErrorCode::kInternal, "rle_counts: the mask has " + std::to_string(mask.size()) +
                                          " bytes, expected " + std::to_string(width) + "x" +
                                          std::to_string(height));
  }
  const auto rows = static_cast<size_t>(height);
  const auto columns = static_cast<size_t>(width);
  std::vector<uint32_t> counts;
  std::vector<uint8_t> panel(rows * std::min(kPanel, columns));
  uint32_t run = 0;
  uint8_t current = 0;
  for (size_t x = 0; x < columns; x += kPanel) {
    const size_t used = std::min(kPanel, columns - x);
    for (size_t y = 0; y < rows; ++y) {
      const uint8_t* from = mask.data() + y * columns + x;
      for (size_t i = 0; i < used; ++i) panel[i * rows + y] = from[i] != 0 ? 1 : 0;
    }
    for (size_t i = 0; i < used * rows; ++i) {
      if (panel[i] != current) {
        counts.push_back(run);
        run = 0;
        current = panel[i];
      }
      ++run;
    }
  }
  counts.push_back(run);
  return counts;
}

// The text holds, from the third run on, the difference to the run before the last one, in groups
// of five bits, lowest first: bit 5 says that another group follows, 48 is added to make the group
// printable (COCO API, maskApi.c, rleToString).
std::string rle_to_string(std::span<const uint32_t> counts) {
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    int64_t value = counts[i];
    if (i > 2) value -= counts[i - 2];
    for (bool more = true; more;) {
      int64_t group = value & 0x1F;
      value >>= 5;
      more = (group & 0x10) != 0 ? value != -1 : value != 0;
      if (more) group |= 0x20;
      text.push_back(static_cast<char>(group + 48));
    }
  }
  return text;
}

std::vector<uint32_t> rle_from_string(std::string_view text) {
  // A run has 32 bits, its difference 33 with the sign: seven groups of five.
  constexpr int kMaxGroups = 7;
  std::vector<uint32_t> counts;
  int64_t value = 0;
  int groups = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const int group = static_cast<unsigned char>(text[i]) - 48;
    if (group < 0 || group > 0x3F || groups == kMaxGroups) {
      throw_bad_input("a mask's run-length string is malformed at character " + std::to_string(i) +
                      "; expected COCO's compressed form");
    }
    value |= static_cast<int64_t>(group & 0x1F) << (5 * groups);
    ++groups;
    if ((group & 0x20) != 0) continue;
    if ((group & 0x10) != 0) value |= -(int64_t{1} << (5 * groups));
    if (counts.size() > 2) value += counts[counts.size() - 2];
    if (value < 0 || value > std::numeric_limits<uint32_t>::max()) {
      throw_bad_input("a mask's run-length string has the run " + std::to_string(value) +
                      " before character " + std::to_string(i + 1) +
                      ", expected a number of pixels");
    }
    counts.push_back(static_cast<uint32_t>(value));
    value = 0;
    groups = 0;
  }
  if (groups != 0) throw_bad_input("a mask's run-length string ends inside a number");
  return counts;
}

std::vector<uint8_t> rle_decode(std::span<const uint32_t> counts, int64_t height, int64_t width) {
  std::vector<uint8_t> mask(filled_size(counts, height, width), 0);
  const auto rows = static_cast<size_t>(height);
  const auto columns = static_cast<size_t>(width);
  size_t position = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const size_t end = position + counts[i];
    if (i % 2 == 0 || counts[i] == 0) {
      position = end;
      continue;
    }
    for (size_t x = position / rows, y = position % rows; position < end; ++position) {
      mask[y * columns + x] = 1;
      if (++y == rows) {
        y = 0;
        ++x;
      }
    }
  }
  return mask;
}

int64_t rle_area(std::span<const uint32_t> counts) {
  int64_t area = 0;
  for (size_t i = 1; i < counts.size(); i += 2) area += counts[i];
  return area;
}

int64_t rle_intersection(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  int64_t both = 0;
  size_t i = 0;
  size_t j = 0;
  int64_t at = 0;
  int64_t a_end = a.empty() ? 0 : a[0];
  int64_t b_end = b.empty() ? 0 : b[0];
  while (i < a.size() && j < b.size()) {
    const int64_t end = std::min(a_end, b_end);
    if (i % 2 == 1 && j % 2 == 1) both += end - at;
    at = end;
    if (a_end == end && ++i < a.size()) a_end += a[i];
    if (b_end == end && ++j < b.size()) b_end += b[j];
  }
  return both;
}

std::vector<uint32_t> rle_subtract(std::span<const uint32_t> a, std::span<const uint32_t> b,
                                   int64_t height, int64_t width) {
  const size_t pixels = filled_size(a, height, width);
  static_cast<void>(filled_size(b, height, width));
  return combine(a, b, pixels, [](bool in_a, bool in_b) { return in_a && !in_b; });
}

std::vector<uint32_t> rle_union(std::span<const uint32_t> a, std::span<const uint32_t> b,
                                int64_t height, int64_t width) {
  const size_t pixels = filled_size(a, height, width);
  static_cast<void>(filled_size(b, height, width));
  return combine(a, b, pixels, [](bool in_a, bool in_b) { return in_a || in_b; });
}

std::vector<uint64_t> rle_bits(std::span<const uint32_t> counts, int64_t height, int64_t width) {
  constexpr size_t kBits = 64;
  constexpr uint64_t kAll = ~uint64_t{0};
  std::vector<uint64_t> bits((filled_size(counts, height, width) + kBits - 1) / kBits);
  size_t begin = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const size_t end = begin + counts[i];
    if (i % 2 == 1 && end > begin) {
      const size_t last = (end - 1) / kBits;
      const uint64_t from = kAll << begin % kBits;
      const uint64_t until = kAll >> (kBits - 1 - (end - 1) % kBits);
      if (begin / kBits == last) {
        bits[last] |= from & until;
      } else {
        bits[begin / kBits] |= from;
        std::fill(bits.begin() + static_cast<std::ptrdiff_t>(begin / kBits + 1),
                  bits.begin() + static_cast<std::ptrdiff_t>(last), kAll);
        bits[last] |= until;
      }
    }
    begin = end;
  }
  return bits;
}

std::vector<uint32_t> rle_of_bits(std::span<const uint64_t> bits, int64_t height, int64_t width) {
  constexpr size_t kBits = 64;
  const size_t pixels = pixel_count(height, width);
  std::vector<uint32_t> counts;
  size_t begin = 0;
  uint64_t before = 0;  // the last pixel of the word before
  for (size_t word = 0; word < (pixels + kBits - 1) / kBits; ++word) {
    uint64_t changes = bits[word] ^ (bits[word] << 1U | before);
    before = bits[word] >> (kBits - 1);
    for (; changes != 0; changes &= changes - 1) {
      const size_t at = word * kBits + static_cast<size_t>(std::countr_zero(changes));
      if (at >= pixels) break;
      counts.push_back(static_cast<uint32_t>(at - begin));
      begin = at;
    }
  }
  counts.push_back(static_cast<uint32_t>(pixels - begin));
  return counts;
}

std::array<float, 4> rle_box(std::span<const uint32_t> counts, int64_t height) {
  int64_t left = -1;
  int64_t right = -1;
  int64_t top = height;
  int64_t bottom = -1;
  int64_t column = 0;  // of the first pixel of a run
  int64_t row = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const int64_t last = row + counts[i] - 1;
    const int64_t columns = last < height ? 0 : last / height;  // further ones
    if (i % 2 == 1) {
      if (left < 0) left = column;
      right = column + columns;
      top = std::min(top, columns > 0 ? 0 : row);
      bottom = std::max(bottom, columns > 0 ? height - 1 : last);
    }
    column += columns;
    row = last + 1 - columns * height;
    if (row == height) {
      row = 0;
      ++column;
    }
  }
  if (left < 0) return {};
  return {static_cast<float>(left), static_cast<float>(top), static_cast<float>(right),
          static_cast<float>(bottom)};
}

}  // namespace sam3trt
