#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <string_view>

#include "image/decoders.hpp"
#include "image/orientation.hpp"

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

struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

/// The first chunk of that name; empty when there is none.
std::string_view find_chunk(const WebPDemuxer* demuxer, const char* name) {
  WebPChunkIterator chunk{};
  std::string_view data;
  if (WebPDemuxGetChunk(demuxer, name, 1, &chunk) != 0) {
    data = {reinterpret_cast<const char*>(chunk.chunk.bytes), chunk.chunk.size};
  }
  WebPDemuxReleaseChunkIterator(&chunk);
  return data;
}

/// Decodes the frame to its place in the image.
void decode_frame(const WebPIterator& frame, Image& image, const std::string& name) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) throw_undecodable(name, "WebP", "wrong library version");
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.width <= 0 || frame.height <= 0 ||
      frame.x_offset + frame.width > image.width || frame.y_offset + frame.height > image.height) {
    throw_undecodable(name, "WebP", "its first frame leaves the canvas");
  }
  const size_t first = image.offset(frame.x_offset, frame.y_offset);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.rgb.data() + first;
  config.output.u.RGBA.stride = static_cast<int>(image.width * 3);
  config.output.u.RGBA.size = image.rgb.size() - first;
  VP8StatusCode status = WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input);
  if (status == VP8_STATUS_OK &&
      (config.input.width != frame.width || config.input.height != frame.height)) {
    status = VP8_STATUS_BITSTREAM_ERROR;
  }
  if (status == VP8_STATUS_OK) {
    status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  }
  if (status != VP8_STATUS_OK) throw_undecodable(name, "WebP", describe(status));
}

}  // namespace

Image decode_webp(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  if (bytes.size() < 12 || u32_at(bytes, 4) > bytes.size() - 8) {
    throw_undecodable(name, "WebP", describe(VP8_STATUS_NOT_ENOUGH_DATA));
  }
  const WebPData data = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, DeleteDemuxer> demuxer(WebPDemux(&data));
  if (demuxer == nullptr) throw_undecodable(name, "WebP", describe(VP8_STATUS_BITSTREAM_ERROR));
  // A few bytes can hold any number of equal pixels, so the length says nothing here.
  Image image = make_image(WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                           WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), name, "WebP",
                           max_pixels, max_pixels);
  WebPIterator frame{};
  const bool has_frame = WebPDemuxGetFrame(demuxer.get(), 1, &frame) != 0;
  const std::unique_ptr<WebPIterator, void (*)(WebPIterator*)> owner(&frame,
                                                                     WebPDemuxReleaseIterator);
  if (!has_frame) throw_undecodable(name, "WebP", "it has no frame");
  decode_frame(frame, image, name);
  const std::string_view exif = find_chunk(demuxer.get(), "EXIF");
  const OrientationMarks marks{exif_orientation(std::as_bytes(std::span(exif))),
                               xmp_orientation(find_chunk(demuxer.get(), "XMP "))};
  return apply_orientation(std::move(image), marks.value());
}

}  // namespace sam3trt
