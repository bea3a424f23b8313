#include "image/image.hpp"

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "image/decoders.hpp"
#include "image/file_kind.hpp"

namespace sam3trt {

ImageView view_of(const Image& image) {
  ImageView view;
  view.data = image.rgb.data();
  view.size_bytes = image.rgb.size();
  view.width = image.width;
  view.height = image.height;
  return view;
}

void check_image_size(int64_t width, int64_t height, const std::string& name, int64_t max_pixels) {
  const std::string size = std::to_string(width) + "x" + std::to_string(height);
  if (width <= 0 || height <= 0) {
    throw_bad_input(name + ": has " + size + " pixels, expected positive numbers");
  }
  if (width > kMaxImageSide || height > kMaxImageSide) {
    throw_bad_input(name + ": has " + size + " pixels, which is too long: a side has at most " +
                    std::to_string(kMaxImageSide) + " pixels; cut it into parts, or scale it down");
  }
  if (width * height > max_pixels) {
    throw_bad_input(name + ": has " + size + " pixels, which is too large: at most " +
                    std::to_string(max_pixels) + " pixels are accepted; scale it down");
  }
}

Image make_image(int64_t width, int64_t height, const std::string& name, const char* format,
                 int64_t max_pixels, int64_t plausible_pixels) {
  check_image_size(width, height, name, max_pixels);
  const int64_t pixels = width * height;
  if (pixels > plausible_pixels) {
    throw_undecodable(name, format,
                      "the file is far too short for " + std::to_string(width) + "x" +
                          std::to_string(height) + " pixels");
  }
  Image image;
  image.width = width;
  image.height = height;
  image.rgb.resize(static_cast<size_t>(pixels) * 3);
  return image;
}

void throw_undecodable(const std::string& name, const char* format, const std::string& reason) {
  throw_bad_input(name + ": is not a readable " + format + " file: " + reason);
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  switch (find_image_format(bytes)) {
    case ImageFormat::kJpeg:
      return decode_jpeg(bytes, name, max_pixels);
    case ImageFormat::kPng:
      return decode_png(bytes, name, max_pixels);
    case ImageFormat::kWebp:
      return decode_webp(bytes, name, max_pixels);
    case ImageFormat::kGif:
      return decode_gif(bytes, name, max_pixels);
    case ImageFormat::kTiff:
      return decode_tiff(bytes, name, max_pixels);
    case ImageFormat::kAvif:
      return decode_avif(bytes, name, max_pixels);
    case ImageFormat::kHeic:
      return decode_heic(bytes, name, max_pixels);
    case ImageFormat::kBmp:
      return decode_bmp(bytes, name, max_pixels);
    case ImageFormat::kOther:
      break;
  }
  throw_bad_input(name + ": " + describe_other_file(bytes));
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
  return decode_image(bytes, name, kMaxImagePixels);
}

Image read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path), path.string());
}

}  // namespace sam3trt
