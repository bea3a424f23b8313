#include "image/encode.hpp"

#include <webp/encode.h>

// clang-format off
#include <cstdio>  // jpeglib.h needs FILE
#include <jpeglib.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "base/lower.hpp"

namespace sam3trt {
namespace {

constexpr int kJpegQuality = 90;
constexpr float kWebpQuality = 85.0F;

void check_image(const Image& image, const char* format, int64_t largest_side) {
  check_image_size(image.width, image.height, std::string("an image to be written as ") + format);
  if (image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
    throw Error(ErrorCode::kInternal,
                std::string(format) + ": the image's buffer has a wrong size");
  }
  if (std::max(image.width, image.height) <= largest_side) return;
  throw_bad_input(std::to_string(image.width) + "x" + std::to_string(image.height) +
                  " pixels are too many for " + format + ", which holds " +
                  std::to_string(largest_side) + " on a side; write a .png file");
}

/// libjpeg reports errors by a function that must not return: it jumps back into run_guarded(),
/// past frames that own nothing.
struct JpegWriter {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  jmp_buf on_error{};
  char message[JMSG_LENGTH_MAX] = {};
  const Image* image = nullptr;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;

  JpegWriter() = default;
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto& writer = *static_cast<JpegWriter*>(info->client_data);
  (*info->err->format_message)(info, writer.message);
  longjmp(writer.on_error, 1);
}

void ignore_message(j_common_ptr) {}
void ignore_warning(j_common_ptr, int) {}

void write_jpeg(JpegWriter& writer) {
  jpeg_compress_struct& info = writer.info;
  const Image& image = *writer.image;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &writer.bytes, &writer.size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, kJpegQuality, TRUE);
  // Thin lines of strong colours keep them.
  info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPLE*>(image.rgb.data() + image.offset(0, info.next_scanline));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
}

bool run_guarded(JpegWriter& writer) {
  if (setjmp(writer.on_error) != 0) return false;
  write_jpeg(writer);
  return true;
}

std::vector<std::byte> copy_bytes(const uint8_t* bytes, size_t size) {
  const auto* first = reinterpret_cast<const std::byte*>(bytes);
  return {first, first + size};
}

}  // namespace

bool is_writable_extension(std::string_view extension) {
  const std::string name = lower(std::string(extension));
  return name == ".png" || name == ".jpg" || name == ".jpeg" || name == ".webp";
}

std::vector<std::byte> encode_image(std::string_view extension, const Image& image) {
  const std::string name = lower(std::string(extension));
  if (name == ".png") return encode_png(image);
  if (name == ".jpg" || name == ".jpeg") return encode_jpeg(image);
  if (name == ".webp") return encode_webp(image);
  throw_bad_input("'" + std::string(extension) + "' is not an image format that is written; " +
                  "expected " + kWritableExtensions);
}

std::vector<std::byte> encode_jpeg(const Image& image) {
  check_image(image, "JPEG", JPEG_MAX_DIMENSION);
  const auto owner = std::make_unique<JpegWriter>();
  JpegWriter& writer = *owner;
  writer.info.err = jpeg_std_error(&writer.errors);
  writer.info.client_data = &writer;
  writer.errors.error_exit = on_error;
  writer.errors.output_message = ignore_message;
  writer.errors.emit_message = ignore_warning;
  writer.image = &image;
  if (!run_guarded(writer)) {
    throw Error(ErrorCode::kInternal, std::string("a JPEG cannot be written: ") + writer.message);
  }
  return copy_bytes(writer.bytes, writer.size);
}

std::vector<std::byte> encode_webp(const Image& image) {
  check_image(image, "WebP", WEBP_MAX_DIMENSION);
  WebPConfig config;
  WebPPicture picture;
  WebPMemoryWriter writer;
  if (WebPConfigPreset(&config, WEBP_PRESET_PHOTO, kWebpQuality) == 0 ||
      WebPPictureInit(&picture) == 0) {
    throw Error(ErrorCode::kInternal, "a WebP cannot be written: wrong library version");
  }
  config.method = 0;  // the fastest
  WebPMemoryWriterInit(&writer);
  const std::unique_ptr<WebPPicture, void (*)(WebPPicture*)> picture_owner(&picture,
                                                                           WebPPictureFree);
  const std::unique_ptr<WebPMemoryWriter, void (*)(WebPMemoryWriter*)> writer_owner(
      &writer, WebPMemoryWriterClear);
  picture.width = static_cast<int>(image.width);
  picture.height = static_cast<int>(image.height);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  if (WebPPictureImportRGB(&picture, image.rgb.data(), static_cast<int>(image.width * 3)) == 0 ||
      WebPEncode(&config, &picture) == 0) {
    throw Error(ErrorCode::kInternal,
                "a WebP cannot be written: error " + std::to_string(picture.error_code));
  }
  return copy_bytes(writer.mem, writer.size);
}

}  // namespace sam3trt
