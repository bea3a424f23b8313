// Any text as base64: an error, or bytes whose base64, written by OpenSSL, gives them again.

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "server/base64.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string text(data, data + size);
    const std::string bytes = sam3trt::decode_base64(text);
    if (bytes.size() > size) std::abort();
    std::string again(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(again.data()),
                                       reinterpret_cast<const unsigned char*>(bytes.data()),
                                       static_cast<int>(bytes.size()));
    again.resize(static_cast<size_t>(length));
    if (sam3trt::decode_base64(again) != bytes) std::abort();
  } catch (const sam3trt::Error&) {
    // Refused.
  }
  return 0;
}
