#include <webp/decode.h>

#include <cstring>

#include "image/decoders.hpp"
#include "image/exif.hpp"

namespace sam3trt {
namespace {

const char* describe(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OK:
      return "no error";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "out of memory";
    case VP8_STATUS_INVALID_PARAM:
      return "invalid parameter";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "damaged data";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "unsupported feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the file ends too early";
    case VP8_STATUS_USER_ABORT:
      return "aborted";
  }
  return "unknown error";
}

size_t u32_at(std::span<const std::byte> bytes, size_t at) {
  size_t value = 0;
  for (size_t i = 4; i-- > 0;) value = (value << 8) | std::to_integer<size_t>(bytes[at + i]);
  return value;
}

/// The RIFF chunk "EXIF"; empty when there is none.
std::span<const std::byte> exif_chunk(std::span<const std::byte> bytes) {
  constexpr size_t kHeader = 8;
  for (size_t at = 12; at + kHeader <= bytes.size();) {
    const size_t size = u32_at(bytes, at + 4);
    if (size > bytes.size() - at - kHeader) break;
    if (std::memcmp(bytes.data() + at, "EXIF", 4) == 0) {
      auto chunk = bytes.subspan(at + kHeader, size);
      // Some writers keep JPEG's prefix.
      if (size >= 6 && std::memcmp(chunk.data(), "Exif\0\0", 6) == 0) chunk = chunk.subspan(6);
      return chunk;
    }
    at += kHeader + size + size % 2;
  }
  return {};
}

}  // namespace

Image decode_webp(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) throw_undecodable(name, "WebP", "wrong library version");
  VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &config.input);
  if (status != VP8_STATUS_OK) throw_undecodable(name, "WebP", describe(status));
  if (config.input.has_animation != 0) {
    throw_undecodable(name, "WebP", "it is animated; save the wanted frame as a still picture");
  }
  if (u32_at(bytes, 4) > bytes.size() - 8) {
    throw_undecodable(name, "WebP", describe(VP8_STATUS_NOT_ENOUGH_DATA));
  }
  // A few bytes can hold any number of equal pixels, so the length says nothing here.
  Image image =
      make_image(config.input.width, config.input.height, name, "WebP", max_pixels, max_pixels);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.rgb.data();
  config.output.u.RGBA.stride = static_cast<int>(image.width * 3);
  config.output.u.RGBA.size = image.rgb.size();
  status = WebPDecode(data, bytes.size(), &config);
  if (status != VP8_STATUS_OK) throw_undecodable(name, "WebP", describe(status));
  return apply_orientation(std::move(image), exif_orientation(exif_chunk(bytes)));
}

}  // namespace sam3trt
