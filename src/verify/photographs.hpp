#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/embedded_file.hpp"
#include "image/image.hpp"

namespace sam3trt {

/// The photographs of test_images at build time, by name, so that the images that engines are
/// calibrated and verified with are the same everywhere.
[[nodiscard]] std::span<const EmbeddedFile> builtin_photographs();

/// The same, decoded.
[[nodiscard]] std::vector<Image> default_photographs();

/// SHA-256 of size and pixels: tells images apart, whatever file they came from.
[[nodiscard]] std::string hash_image(const Image& image);

/// Of several, sorted, each one once.
[[nodiscard]] std::vector<std::string> hash_images(std::span<const Image> images);

}  // namespace sam3trt
