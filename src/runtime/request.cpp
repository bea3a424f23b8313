#include "runtime/request.hpp"

#include <cmath>

#include "base/error.hpp"

namespace sam3trt {

void check_image(const Image* image) {
  if (image == nullptr) throw_bad_input("a request has no image");
  const std::string size = std::to_string(image->width) + "x" + std::to_string(image->height);
  if (image->width <= 0 || image->height <= 0) {
    throw_bad_input("an image has " + size + " pixels; expected at least 1x1");
  }
  if (image->height > kMaxImagePixels / image->width) {
    throw_bad_input("an image has " + size + " pixels; at most " + std::to_string(kMaxImagePixels) +
                    " are supported: make it smaller");
  }
  const auto bytes = static_cast<size_t>(image->width * image->height) * 3;
  if (image->rgb.size() == bytes) return;
  throw_bad_input("an image of " + size + " pixels holds " + std::to_string(image->rgb.size()) +
                  " bytes; expected " + std::to_string(bytes) + ", three for each pixel");
}

void check_thresholds(const Thresholds& thresholds) {
  if (std::isfinite(thresholds.score) && std::isfinite(thresholds.mask)) return;
  throw_bad_input("a threshold must be a number from 0 to 1");
}

void check_request(const ImageRequest& request, const Tokenizer& tokenizer,
                   const ModelConfig& config, Semantics semantics) {
  check_image(request.image);
  for (const Prompt& prompt : request.prompts) {
    check_prompt(prompt, tokenizer, config, semantics);
    check_boxes(prompt, request.image->width, request.image->height);
  }
}

}  // namespace sam3trt
