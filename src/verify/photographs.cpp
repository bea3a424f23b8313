#include "verify/photographs.hpp"

#include <set>

#include "base/sha256.hpp"

namespace sam3trt {

std::vector<Image> default_photographs() {
  std::vector<Image> images;
  for (const EmbeddedFile& file : builtin_photographs()) {
    images.push_back(decode_image(file.bytes, std::string(file.name)));
  }
  return images;
}

std::string hash_image(const Image& image) {
  Sha256 hash;
  const std::string size = std::to_string(image.width) + "x" + std::to_string(image.height) + "\n";
  hash.update(std::as_bytes(std::span(size)));
  hash.update(std::as_bytes(std::span(image.rgb)));
  return hash.hex_digest();
}

std::vector<std::string> hash_images(std::span<const Image> images) {
  std::set<std::string> hashes;
  for (const Image& image : images) hashes.insert(hash_image(image));
  return {hashes.begin(), hashes.end()};
}

}  // namespace sam3trt
