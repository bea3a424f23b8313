// In place of avif.cpp in a build with SAM3TRT_AVIF=OFF.
#include "base/error.hpp"
#include "image/decoders.hpp"

namespace sam3trt {

Image decode_avif(std::span<const std::byte> /*bytes*/, const std::string& name,
                  int64_t /*max_pixels*/) {
  throw_bad_input(name +
                  ": is an AVIF image, which this sam3trt was built without (SAM3TRT_AVIF=OFF); "
                  "convert it to JPEG, PNG or WebP, or decode it with Pillow first");
}

}  // namespace sam3trt
