#include "image/image.hpp"

#include <array>
#include <cstring>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "image/decoders.hpp"

namespace sam3trt {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic, size_t offset = 0) {
  return bytes.size() >= offset + magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

}  // namespace

Image make_image(int64_t width, int64_t height, const std::string& name, const char* format,
                 int64_t max_pixels, int64_t plausible_pixels) {
  const std::string size = std::to_string(width) + "x" + std::to_string(height);
  if (width <= 0 || height <= 0) {
    throw_undecodable(name, format, "its size is " + size + ", expected positive numbers");
  }
  const std::array<int64_t, 2> shape = {height, width};
  const auto pixels = checked_element_count(shape);
  if (!pixels || *pixels > max_pixels) {
    throw_bad_input(name + ": a picture of " + size + " pixels is too large: at most " +
                    std::to_string(max_pixels) + " pixels are accepted; scale it down");
  }
  if (*pixels > plausible_pixels) {
    throw_undecodable(name, format, "the file is far too short for " + size + " pixels");
  }
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.resize(static_cast<size_t>(*pixels) * 3);
  return image;
}

void throw_undecodable(const std::string& name, const char* format, const std::string& reason) {
  throw_bad_input(name + ": is not a readable " + format + " file: " + reason);
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  if (starts_with(bytes, "\xFF\xD8\xFF")) return decode_jpeg(bytes, name, max_pixels);
  if (starts_with(bytes, "\x89PNG\r\n\x1A\n")) return decode_png(bytes, name, max_pixels);
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) {
    return decode_webp(bytes, name, max_pixels);
  }
  if (starts_with(bytes, "BM")) return decode_bmp(bytes, name, max_pixels);
  throw_bad_input(name + ": is no picture that can be read (" + std::to_string(bytes.size()) +
                  " bytes); expected JPEG, PNG, WebP or BMP");
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
  return decode_image(bytes, name, kMaxImagePixels);
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path), path.string());
}

}  // namespace sam3trt
