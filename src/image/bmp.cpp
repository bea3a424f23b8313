#include <algorithm>
#include <array>
#include <bit>

#include "image/decoders.hpp"

namespace sam3trt {
namespace {

constexpr uint32_t kUncompressed = 0;
constexpr uint32_t kRuns8 = 1;
constexpr uint32_t kRuns4 = 2;
constexpr uint32_t kBitFields = 3;
constexpr uint32_t kAlphaBitFields = 6;
constexpr size_t kFileHeader = 14;
constexpr size_t kCoreHeader = 12;
constexpr size_t kInfoHeader = 40;

/// Little-endian numbers with bounds.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  [[nodiscard]] uint32_t number(size_t at, size_t size) const {
    uint32_t value = 0;
    for (const std::byte byte : part(at, size)) {
      value = (value >> 8) | (std::to_integer<uint32_t>(byte) << 24);
    }
    return size == 0 ? 0 : value >> (32 - 8 * size);
  }
  [[nodiscard]] std::span<const std::byte> part(size_t at, size_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size) {
      throw_undecodable(name_, "BMP", "the file ends too early");
    }
    return bytes_.subspan(at, size);
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
};

struct Header {
  int64_t width = 0;
  int64_t height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint32_t compression = kUncompressed;
  size_t pixels_at = 0;
  size_t palette_at = 0;
  size_t palette_entry = 4;
  size_t palette_count = 0;
  std::array<uint32_t, 3> masks{};  ///< Red, green, blue; of 16 and 32 bits only.
};

/// One field of a 16 or 32 bit pixel, spread over 0..255, rounded down.
class Field {
 public:
  explicit Field(uint32_t mask)
      : mask_(mask), shift_(mask == 0 ? 0 : std::countr_zero(mask)), top_(mask >> shift_) {}

  [[nodiscard]] uint8_t operator()(uint32_t pixel) const {
    if (top_ == 0) return 0;
    return static_cast<uint8_t>(uint64_t{(pixel & mask_) >> shift_} * 255 / top_);
  }

 private:
  uint32_t mask_;
  int shift_;
  uint32_t top_;
};

/// Old files have a header of 12 bytes, others one of 40 bytes or more.
Header read_header(const Bytes& bytes) {
  Header header;
  header.pixels_at = bytes.number(10, 4);
  const size_t size = bytes.number(kFileHeader, 4);
  const auto signed_number = [&](size_t at) {
    return int64_t{static_cast<int32_t>(bytes.number(at, 4))};
  };
  if (size == kCoreHeader) {
    header.width = bytes.number(18, 2);
    header.height = bytes.number(20, 2);
    header.bits = bytes.number(24, 2);
    header.palette_entry = 3;
  } else if (size >= kInfoHeader) {
    header.width = signed_number(18);
    header.height = signed_number(22);
    header.bits = bytes.number(28, 2);
    header.compression = bytes.number(30, 4);
    header.palette_count = bytes.number(46, 4);
  } else {
    throw_undecodable(bytes.name(), "BMP",
                      "a header of " + std::to_string(size) + " bytes, expected 12 or at least 40");
  }
  header.top_down = header.height < 0;
  if (header.top_down) header.height = -header.height;
  header.palette_at = kFileHeader + size;
  const bool has_masks = header.compression == kBitFields || header.compression == kAlphaBitFields;
  if (has_masks) {
    // They follow the header of 40 bytes and lie at the same place inside longer ones.
    for (size_t i = 0; i < 3; ++i) {
      header.masks[i] = bytes.number(kFileHeader + kInfoHeader + i * 4, 4);
    }
  } else if (header.bits == 16) {
    header.masks = {0x7C00, 0x03E0, 0x001F};
  } else if (header.bits == 32) {
    header.masks = {0xFF0000, 0x00FF00, 0x0000FF};
  }
  return header;
}

bool is_run_length_coded(const Header& header) {
  return (header.compression == kRuns8 && header.bits == 8) ||
         (header.compression == kRuns4 && header.bits == 4);
}

void check_header(const Header& header, const std::string& name) {
  constexpr std::array<uint32_t, 6> kDepths = {1, 4, 8, 16, 24, 32};
  if (std::find(kDepths.begin(), kDepths.end(), header.bits) == kDepths.end()) {
    throw_undecodable(
        name, "BMP", std::to_string(header.bits) + " bits a pixel, expected 1, 4, 8, 16, 24 or 32");
  }
  const bool masks_fit = header.bits == 16 || header.bits == 32;
  const bool fits =
      header.compression == kUncompressed || is_run_length_coded(header) ||
      (masks_fit && (header.compression == kBitFields || header.compression == kAlphaBitFields));
  if (!fits) {
    throw_undecodable(name, "BMP",
                      "compression " + std::to_string(header.compression) + " at " +
                          std::to_string(header.bits) +
                          " bits a pixel is not supported; save it as PNG");
  }
}

/// 256 colours; those that the file lacks are black.
std::vector<std::array<uint8_t, 3>> read_palette(const Bytes& bytes, const Header& header) {
  std::vector<std::array<uint8_t, 3>> palette(256);
  if (header.bits > 8) return palette;
  const size_t most = size_t{1} << header.bits;
  const size_t named = header.palette_count == 0 ? most : std::min(header.palette_count, most);
  const size_t room = header.pixels_at > header.palette_at
                          ? (header.pixels_at - header.palette_at) / header.palette_entry
                          : 0;
  const size_t count = std::min(named, room);
  for (size_t i = 0; i < count; ++i) {
    const auto entry = bytes.part(header.palette_at + i * header.palette_entry, 3);
    for (size_t c = 0; c < 3; ++c) palette[i][c] = std::to_integer<uint8_t>(entry[2 - c]);
  }
  return palette;
}

/// Palette indices from the bottom row up, as Pillow's BmpRleDecoder reads them: what is skipped is
/// 0, and runs end with their row.
class RunReader {
 public:
  RunReader(const Bytes& bytes, const Header& header)
      : bytes_(bytes),
        at_(header.pixels_at),
        width_(static_cast<size_t>(header.width)),
        size_(width_ * static_cast<size_t>(header.height)),
        has_nibbles_(header.compression == kRuns4) {}

  [[nodiscard]] std::vector<uint8_t> read() {
    indices_.reserve(size_);
    bool is_ended = false;
    while (indices_.size() < size_ && !is_ended) {
      const uint32_t count = next();
      const uint32_t value = next();
      if (count > 0) {
        add_run(count, value);
      } else if (value == 0) {
        add_zeros((width_ - indices_.size() % width_) % width_);
        x_ = 0;
      } else if (value == 1) {
        is_ended = true;
      } else if (value == 2) {
        const size_t right = next();
        const size_t up = next();
        add_zeros(right + up * width_);
        x_ = indices_.size() % width_;
      } else {
        add_literals(value);
      }
    }
    if (indices_.size() < size_) throw_undecodable(bytes_.name(), "BMP", "the file ends too early");
    return std::move(indices_);
  }

 private:
  uint32_t next() { return bytes_.number(at_++, 1); }

  void add_zeros(size_t count) {
    indices_.insert(indices_.end(), std::min(count, size_ - indices_.size()), uint8_t{0});
  }

  void add_run(size_t count, uint32_t value) {
    const size_t room = width_ > x_ ? width_ - x_ : 0;
    const size_t fitting = std::min({count, room, size_ - indices_.size()});
    for (size_t i = 0; i < fitting; ++i) {
      const uint32_t nibble = i % 2 == 0 ? value >> 4 : value & 0xF;
      indices_.push_back(static_cast<uint8_t>(has_nibbles_ ? nibble : value));
    }
    x_ += fitting;
  }

  void add_literals(size_t count) {
    const size_t fitting = std::min(count, size_ - indices_.size());
    for (size_t i = 0; i < fitting; ++i) {
      if (!has_nibbles_) {
        indices_.push_back(static_cast<uint8_t>(next()));
      } else if (i % 2 == 0) {
        indices_.push_back(static_cast<uint8_t>(next() >> 4));
      } else {
        indices_.push_back(static_cast<uint8_t>(bytes_.number(at_ - 1, 1) & 0xF));
      }
    }
    x_ += count;
    at_ += at_ % 2;  // to a whole word
  }

  const Bytes& bytes_;
  size_t at_;
  size_t width_;
  size_t size_;
  bool has_nibbles_;
  size_t x_ = 0;
  std::vector<uint8_t> indices_;
};

}  // namespace

Image decode_bmp(std::span<const std::byte> data, const std::string& name, int64_t max_pixels) {
  const Bytes bytes(data, name);
  const Header header = read_header(bytes);
  check_header(header, name);
  // Refuses sizes that the file cannot hold before any memory is taken.
  const auto plausible =
      is_run_length_coded(header) ? max_pixels : static_cast<int64_t>(data.size()) * 8;
  Image image = make_image(header.width, header.height, name, "BMP", max_pixels, plausible);
  const auto palette = read_palette(bytes, header);
  if (is_run_length_coded(header)) {
    const auto indices = RunReader(bytes, header).read();
    const auto row = static_cast<size_t>(header.width);
    for (int64_t y = 0; y < header.height; ++y) {
      const int64_t from = header.top_down ? y : header.height - 1 - y;
      uint8_t* target = image.rgb.data() + image.offset(0, y);
      for (size_t x = 0; x < row; ++x, target += 3) {
        std::copy_n(palette[indices[static_cast<size_t>(from) * row + x]].data(), 3, target);
      }
    }
    return image;
  }
  const std::array<Field, 3> fields = {Field(header.masks[0]), Field(header.masks[1]),
                                       Field(header.masks[2])};
  const auto width = static_cast<size_t>(header.width);
  const size_t stride = (width * header.bits + 31) / 32 * 4;
  const size_t pixel_size = header.bits / 8;
  for (size_t row = 0; row < static_cast<size_t>(header.height); ++row) {
    const auto line = bytes.part(header.pixels_at + row * stride, stride);
    const auto y = static_cast<int64_t>(row);
    uint8_t* target =
        image.rgb.data() + image.offset(0, header.top_down ? y : header.height - 1 - y);
    for (size_t x = 0; x < width; ++x, target += 3) {
      if (header.bits <= 8) {
        const size_t bit = x * header.bits;
        const auto byte = std::to_integer<uint32_t>(line[bit / 8]);
        const uint32_t index =
            (byte >> (8 - header.bits - bit % 8)) & ((uint32_t{1} << header.bits) - 1);
        std::copy_n(palette[index].data(), 3, target);
      } else if (header.bits == 24) {
        for (size_t c = 0; c < 3; ++c) target[c] = std::to_integer<uint8_t>(line[x * 3 + 2 - c]);
      } else {
        uint32_t pixel = 0;
        for (size_t i = pixel_size; i-- > 0;) {
          pixel = (pixel << 8) | std::to_integer<uint32_t>(line[x * pixel_size + i]);
        }
        for (size_t c = 0; c < 3; ++c) target[c] = fields[c](pixel);
      }
    }
  }
  return image;
}

}  // namespace sam3trt
