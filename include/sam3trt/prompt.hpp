#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace sam3trt {

/// x0, y0, x1, y1 in pixels of the original image.
using PixelBox = std::array<double, 4>;

/// An exemplar box: an instance that is wanted, or one that is not.
struct PromptBox {
  PixelBox box = {};
  bool positive = true;
};

/// What is looked for in an image. Boxes without text ask for what looks like their contents.
struct Prompt {
  std::optional<std::string> text;
  std::vector<PromptBox> boxes;
};

/// What is kept; probabilities.
struct Thresholds {
  double score = 0.5;
  double mask = 0.5;
};

}  // namespace sam3trt
