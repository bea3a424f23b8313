#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "image/image.hpp"
#include "sam3trt/request.hpp"

namespace sam3trt {

inline Image image_of(int64_t width, int64_t height, uint8_t seed) {
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    image.rgb[i] = static_cast<uint8_t>(seed + 37 * i + i * i);
  }
  return image;
}

inline const PromptBox kBox{{2, 1, 9, 7}, true};
inline const PromptBox kUnwanted{{0, 0, 5, 5}, false};

/// A request with all that it needs.
struct Scene {
  std::vector<Image> images;
  std::vector<std::vector<Prompt>> prompts;

  [[nodiscard]] std::vector<ImageRequest> requests() const {
    std::vector<ImageRequest> requests;
    for (size_t i = 0; i < images.size(); ++i) requests.push_back({view_of(images[i]), prompts[i]});
    return requests;
  }
};

inline Scene small_scene(const std::string& text) {
  return {{image_of(12, 10, 1)}, {{{text, {}}}}};
}

/// Two images together and one more; more prompts than go through the detector at once.
inline Scene large_scene(const std::string& text) {
  return {{image_of(12, 10, 1), image_of(40, 23, 2), image_of(13, 31, 3)},
          {{{text, {}}, {"tree", {kBox}}},
           {{std::nullopt, {kBox, kUnwanted}}, {text, {kUnwanted}}, {"car", {}}},
           {{"tree", {}}}}};
}

/// Text of all results: bit for bit the same, or not the same. Times are left out.
inline std::string text_of(const std::vector<ImageResult>& results) {
  std::string text;
  for (const ImageResult& image : results) {
    text += std::to_string(image.width) + "x" + std::to_string(image.height) + " " +
            image.error.value_or("");
    for (const PromptResult& prompt : image.prompts) {
      text += "\n " + prompt.prompt.text.value_or("boxes") + " " +
              testing::PrintToString(prompt.presence);
      for (const Instance& instance : prompt.instances) {
        text += "\n  " + testing::PrintToString(instance.score) + " " +
                std::to_string(instance.query) + " " + testing::PrintToString(instance.box) + " " +
                std::to_string(instance.area) + " " + testing::PrintToString(instance.counts);
      }
    }
    text += "\n";
  }
  return text;
}

}  // namespace sam3trt
