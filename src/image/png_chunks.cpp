#include "image/png_chunks.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "image/decoders.hpp"

namespace sam3trt {
namespace {

constexpr size_t kSignature = 8;
constexpr size_t kLengthAndType = 8;
constexpr size_t kChecksum = 4;
/// As Pillow's PngImagePlugin.MAX_TEXT_CHUNK.
constexpr size_t kMaxText = size_t{1} << 20;
/// More than these are not looked at, as each may take long to unpack.
constexpr int kMaxTexts = 64;
constexpr std::string_view kXmpKey = "XML:com.adobe.xmp";
constexpr std::string_view kRawProfileKey = "Raw profile type exif";
constexpr std::array<uint8_t, 12> kEnd = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xAE, 0x42, 0x60, 0x82};

size_t big_endian(std::span<const std::byte> bytes) {
  size_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = (value << 8) | std::to_integer<size_t>(bytes[i]);
  return value;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Takes the part up to the next zero byte off `rest`, the zero byte too; nothing without one.
std::optional<std::string_view> take_field(std::string_view& rest) {
  const size_t end = rest.find('\0');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return field;
}

std::optional<std::string> unpack(std::string_view packed) {
  std::string text(kMaxText, '\0');
  uLongf size = text.size();
  if (uncompress(reinterpret_cast<Bytef*>(text.data()), &size,
                 reinterpret_cast<const Bytef*>(packed.data()), packed.size()) != Z_OK) {
    return std::nullopt;
  }
  text.resize(size);
  return text;
}

struct Text {
  std::string_view key;
  std::string value;
};

/// tEXt, zTXt or iTXt; nothing for one that is damaged or of another key than the wanted two.
std::optional<Text> read_text_chunk(std::string_view type, std::string_view data) {
  const auto key = take_field(data);
  if (!key || (*key != kXmpKey && *key != kRawProfileKey)) return std::nullopt;
  bool is_packed = type == "zTXt";
  if (type != "tEXt") {
    const size_t marks = is_packed ? 1 : 2;
    if (data.size() < marks || data[marks - 1] != '\0') return std::nullopt;  // another method
    if (!is_packed) is_packed = data[0] != '\0';
    data.remove_prefix(marks);
  }
  if (type == "iTXt" && (!take_field(data) || !take_field(data))) return std::nullopt;
  if (!is_packed) return Text{*key, std::string(data)};
  auto value = unpack(data);
  if (!value) return std::nullopt;
  return Text{*key, *std::move(value)};
}

/// ImageMagick's form: a line with the name, one with the size, then lines of hexadecimal digits.
std::vector<std::byte> read_raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::vector<std::byte> bytes;
  int high = -1;
  for (const char c : text) {
    int digit = -1;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
    if (digit < 0) {
      if (c == ' ' || (c >= '\t' && c <= '\r')) continue;
      return {};
    }
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::byte>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

/// eXIf counts before a raw profile, the last text of a key before those in front of it.
class Marks {
 public:
  void add(std::string_view type, std::span<const std::byte> data) {
    if (type == "eXIf") exif_ = data;
    if (type != "tEXt" && type != "zTXt" && type != "iTXt") return;
    if (texts_ == kMaxTexts) return;
    auto text = read_text_chunk(type, text_of(data));
    if (!text) return;
    ++texts_;
    (text->key == kXmpKey ? xmp_ : raw_profile_) = std::move(text->value);
  }

  [[nodiscard]] OrientationMarks result() const {
    OrientationMarks marks;
    marks.exif =
        exif_ ? exif_orientation(*exif_) : exif_orientation(read_raw_profile(raw_profile_));
    marks.xmp = xmp_orientation(xmp_);
    return marks;
  }

 private:
  int texts_ = 0;
  std::optional<std::span<const std::byte>> exif_;
  std::string raw_profile_;
  std::string xmp_;
};

}  // namespace

PngChunks read_png_chunks(std::span<const std::byte> bytes, const std::string& name) {
  const char* const too_short = "the file ends too early";
  Marks marks;
  size_t pixels_end = 0;  // of the data of the last IDAT
  size_t at = kSignature;
  while (at <= bytes.size() && bytes.size() - at >= kLengthAndType) {
    const auto rest = bytes.subspan(at);
    const size_t size = big_endian(rest);
    const std::string_view type = text_of(rest.subspan(4, 4));
    const bool is_complete = size <= rest.size() - kLengthAndType;
    const bool is_pixels = type == "IDAT";
    if (!is_complete && (is_pixels || pixels_end == 0)) throw_undecodable(name, "PNG", too_short);
    // Behind the pixels of an animation's first frame come those of the next.
    if (!is_complete || type == "IEND" || (type == "fcTL" && pixels_end != 0)) break;
    if (is_pixels) pixels_end = at + kLengthAndType + size;
    marks.add(type, rest.subspan(kLengthAndType, size));
    at += kLengthAndType + size + kChecksum;
  }
  if (pixels_end == 0) throw_undecodable(name, "PNG", too_short);
  PngChunks chunks;
  chunks.marks = marks.result();
  // A checksum that was cut off cannot be compared; the pixels have one of their own (Adler-32).
  if (bytes.size() - pixels_end >= kChecksum) {
    pixels_end += kChecksum;
  } else {
    size_t first = kSignature;  // of the last IDAT
    for (size_t next = first; next < pixels_end;) {
      first = next;
      next += kLengthAndType + big_endian(bytes.subspan(next)) + kChecksum;
    }
    const auto checked = bytes.subspan(first + 4, pixels_end - first - 4);
    const uLong sum = crc32_z(0, reinterpret_cast<const Bytef*>(checked.data()), checked.size());
    for (const int shift : {24, 16, 8, 0}) {
      chunks.tail.push_back(static_cast<std::byte>((sum >> shift) & 0xFF));
    }
  }
  chunks.pixels = bytes.first(pixels_end);
  const auto end = std::as_bytes(std::span(kEnd));
  chunks.tail.insert(chunks.tail.end(), end.begin(), end.end());
  return chunks;
}

}  // namespace sam3trt
