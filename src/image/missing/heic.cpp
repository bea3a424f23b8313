// In place of heic.cpp in a build with SAM3TRT_HEIC=OFF.
#include "base/error.hpp"
#include "image/decoders.hpp"

namespace sam3trt {

Image decode_heic(std::span<const std::byte> /*bytes*/, const std::string& name,
                  int64_t /*max_pixels*/) {
  throw_bad_input(name +
                  ": is a HEIC image, which this sam3trt was built without (SAM3TRT_HEIC=OFF); "
                  "convert it to JPEG, PNG or WebP, or decode it with Pillow first");
}

}  // namespace sam3trt
