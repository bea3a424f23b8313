// Any bytes as a GIF file.

#include "image/decoders.hpp"
#include "image_fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sam3trt::fuzz_decoder(sam3trt::decode_gif, data, size);
  return 0;
}
