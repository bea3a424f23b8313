#include <libheif/heif.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "image/decoders.hpp"

namespace sam3trt {
namespace {

template <typename T, void (*release)(T*)>
struct Release {
  void operator()(T* object) const { release(object); }
};
using Context = std::unique_ptr<heif_context, Release<heif_context, heif_context_free>>;

void release_handle(heif_image_handle* handle) { heif_image_handle_release(handle); }
void release_image(heif_image* image) { heif_image_release(image); }

void check(const heif_error& error, const std::string& name) {
  if (error.code == heif_error_Ok) return;
  throw_undecodable(name, "HEIC", error.message == nullptr ? "damaged data" : error.message);
}

}  // namespace

Image decode_heic(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  const Context context(heif_context_alloc());
  if (context == nullptr) throw_undecodable(name, "HEIC", "out of memory");
  if (heif_have_decoder_for_format(heif_compression_HEVC) == 0) {
    throw_bad_input(name +
                    ": is a HEIC image, for which the system's libheif has no decoder; install the "
                    "package libheif-plugin-libde265, or save the image as JPEG or PNG");
  }
  // The limit is the square of this number.
  heif_context_set_maximum_image_size_limit(
      context.get(), static_cast<int>(std::ceil(std::sqrt(static_cast<double>(max_pixels)))));
  check(heif_context_read_from_memory_without_copy(context.get(), bytes.data(), bytes.size(),
                                                   nullptr),
        name);
  heif_image_handle* handle = nullptr;
  check(heif_context_get_primary_image_handle(context.get(), &handle), name);
  const std::unique_ptr<heif_image_handle, Release<heif_image_handle, release_handle>> handle_owner(
      handle);
  // Turning and cropping are part of decoding, so that the size is the one after them.
  Image image =
      make_image(heif_image_handle_get_width(handle), heif_image_handle_get_height(handle), name,
                 "HEIC", max_pixels, max_pixels);
  heif_image* decoded = nullptr;
  check(heif_decode_image(handle, &decoded, heif_colorspace_RGB, heif_chroma_interleaved_RGB,
                          nullptr),
        name);
  const std::unique_ptr<heif_image, Release<heif_image, release_image>> image_owner(decoded);
  int stride = 0;
  const uint8_t* pixels = heif_image_get_plane_readonly(decoded, heif_channel_interleaved, &stride);
  const auto row_bytes = static_cast<size_t>(image.width) * 3;
  if (pixels == nullptr || stride < 0 || static_cast<size_t>(stride) < row_bytes ||
      heif_image_get_width(decoded, heif_channel_interleaved) != image.width ||
      heif_image_get_height(decoded, heif_channel_interleaved) != image.height) {
    throw_undecodable(name, "HEIC", "its pixels have another size than its header says");
  }
  for (int64_t y = 0; y < image.height; ++y) {
    std::memcpy(image.rgb.data() + image.offset(0, y),
                pixels + static_cast<size_t>(y) * static_cast<size_t>(stride), row_bytes);
  }
  return image;
}

}  // namespace sam3trt
