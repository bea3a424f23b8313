#include "server/image_decoder.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/image.hpp"

namespace sam3trt {
namespace {

/// Decodes within the limit. An image that is only too large is told from what is not an image.
Image decode_within(std::span<const std::byte> bytes, int64_t max_pixels,
                    const std::string& where) {
  try {
    return decode_image(bytes, where, max_pixels);
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool too_large = message.find("which is too", where.size()) != std::string::npos;
    throw HttpError(too_large ? 413 : 415, too_large ? "image_too_large" : "not_an_image", message,
                    where);
  }
}

}  // namespace

ImageDecoder::ImageDecoder(const ServiceLimits& limits, size_t pixel_bytes)
    : limits_(limits),
      pixel_bytes_(pixel_bytes),
      at_a_time_(std::max(2U, std::thread::hardware_concurrency())) {}

std::shared_ptr<const Image> ImageDecoder::decode(std::string_view file_bytes,
                                                  const std::string& where) {
  {
    std::unique_lock lock(room_->mutex);
    const bool has_room = room_->changed.wait_for(lock, limits_.timeout, [&] {
      return room_->decoding < at_a_time_ && room_->bytes < pixel_bytes_;
    });
    if (!has_room) {
      throw HttpError(503, "busy", "the server holds as many images as it may", {}, 1);
    }
    ++room_->decoding;
  }
  const auto leave = [room = room_](size_t bytes) {
    const std::scoped_lock lock(room->mutex);
    --room->decoding;
    room->bytes += bytes;
    room->changed.notify_all();
  };
  std::unique_ptr<Image> image;
  try {
    image = std::make_unique<Image>(
        decode_within(std::as_bytes(std::span(file_bytes)), limits_.max_pixels, where));
  } catch (...) {
    leave(0);
    throw;
  }
  leave(image->rgb.size());
  return {image.release(), [room = room_](const Image* used) {
            const size_t bytes = used->rgb.size();
            delete used;
            const std::scoped_lock lock(room->mutex);
            room->bytes -= bytes;
            room->changed.notify_all();
          }};
}

}  // namespace sam3trt
