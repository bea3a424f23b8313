#include "image/orientation.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sam3trt {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShortType = 3;
constexpr uint32_t kLongType = 4;
constexpr uint32_t kLastType = 13;

/// Reads numbers of either byte order; beyond the end they are 0.
class TiffBytes {
 public:
  explicit TiffBytes(std::span<const std::byte> bytes)
      : bytes_(bytes), big_endian_(!bytes.empty() && bytes[0] == std::byte{'M'}) {}

  [[nodiscard]] uint32_t u16(size_t at) const { return number(at, 2); }
  [[nodiscard]] uint32_t u32(size_t at) const { return number(at, 4); }

 private:
  [[nodiscard]] uint32_t number(size_t at, size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t index = at + (big_endian_ ? i : size - 1 - i);
      value = (value << 8) | std::to_integer<uint32_t>(bytes_[index]);
    }
    return value;
  }

  std::span<const std::byte> bytes_;
  bool big_endian_;
};

int valid_or_upright(int64_t value) {
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

/// Without "Exif\0\0", which some writers put there twice.
std::span<const std::byte> without_prefix(std::span<const std::byte> block) {
  constexpr std::string_view kPrefix("Exif\0\0", 6);
  for (int i = 0; i < 2; ++i) {
    if (block.size() >= kPrefix.size() &&
        std::memcmp(block.data(), kPrefix.data(), kPrefix.size()) == 0) {
      block = block.subspan(kPrefix.size());
    }
  }
  return block;
}

}  // namespace

std::optional<int> exif_orientation(std::span<const std::byte> block) {
  const auto tiff = without_prefix(block);
  if (tiff.size() < 8 ||
      (std::memcmp(tiff.data(), "II", 2) != 0 && std::memcmp(tiff.data(), "MM", 2) != 0)) {
    return std::nullopt;
  }
  const TiffBytes bytes(tiff);
  const size_t directory = bytes.u32(4);
  const uint32_t count = bytes.u16(directory);
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + i * 12;
    if (entry + 12 > tiff.size()) return std::nullopt;
    if (bytes.u16(entry) != kOrientationTag) continue;
    const uint32_t type = bytes.u16(entry + 2);
    if (type == 0 || type > kLastType || bytes.u32(entry + 4) == 0) continue;
    if (bytes.u32(entry + 4) != 1) return 1;  // a list of numbers
    if (type == kShortType) return valid_or_upright(bytes.u16(entry + 8));
    return type == kLongType ? valid_or_upright(bytes.u32(entry + 8)) : 1;
  }
  return std::nullopt;
}

std::optional<int> xmp_orientation(std::string_view packet) {
  constexpr std::string_view kName = "tiff:Orientation";
  for (size_t at = packet.find(kName); at != std::string_view::npos;
       at = packet.find(kName, at + 1)) {
    std::string_view rest = packet.substr(at + kName.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return valid_or_upright(rest[0] - '0');
  }
  return std::nullopt;
}

Image apply_orientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // The eight orientations are a swap of the axes (from 5 on), then mirrored rows and columns.
  const bool swap = orientation >= 5;
  const bool mirror_x =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool mirror_y =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  Image result;
  result.width = swap ? image.height : image.width;
  result.height = swap ? image.width : image.height;
  result.rgb.resize(image.rgb.size());
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x) {
      const int64_t u = mirror_x ? result.width - 1 - x : x;
      const int64_t v = mirror_y ? result.height - 1 - y : y;
      const size_t from = swap ? image.offset(v, u) : image.offset(u, v);
      std::copy_n(image.rgb.data() + from, 3, result.rgb.data() + result.offset(x, y));
    }
  }
  return result;
}

}  // namespace sam3trt
