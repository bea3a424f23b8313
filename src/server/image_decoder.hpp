#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

#include "server/service.hpp"

namespace sam3trt {

/// Decodes images for any number of threads in bounded memory: as many at a time as there are
/// processors, and further ones only while those that were decoded and are still used take less
/// than a number of bytes.
class ImageDecoder {
 public:
  ImageDecoder(const ServiceLimits& limits, size_t pixel_bytes);

  /// Throws HttpError(413) for more pixels than the limits allow, 415 for what is not an image, 503
  /// when there is no room for too long; messages and fields name the image as `where`.
  [[nodiscard]] std::shared_ptr<const Image> decode(std::string_view file_bytes,
                                                    const std::string& where);

 private:
  struct Room {
    std::mutex mutex;
    std::condition_variable changed;
    size_t bytes = 0;
    size_t decoding = 0;
  };

  const ServiceLimits& limits_;
  size_t pixel_bytes_;
  size_t at_a_time_;
  std::shared_ptr<Room> room_ = std::make_shared<Room>();
};

}  // namespace sam3trt
