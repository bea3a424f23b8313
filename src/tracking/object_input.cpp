#include "tracking/object_input.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"
#include "image/image.hpp"
#include "image/resize.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

std::string name_of(const ObjectPrompt& prompt) { return "object " + std::to_string(prompt.id); }

std::string size_text(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height) + " pixels";
}

void check_box(const ObjectPrompt& prompt) {
  const PixelBox& box = *prompt.box;
  if (!std::ranges::all_of(box, [](double value) { return std::isfinite(value); })) {
    throw_bad_input(name_of(prompt) + ": a corner of the box is not a finite number");
  }
  if (!(box[0] < box[2] && box[1] < box[3])) {
    throw_bad_input(name_of(prompt) + ": the box has no area; expected x0 < x1 and y0 < y1");
  }
}

void check_mask(const ObjectPrompt& prompt) {
  const ObjectMask& mask = *prompt.mask;
  check_image_size(mask.width, mask.height, name_of(prompt) + ": the mask");
  uint64_t pixels = 0;
  uint64_t inside = 0;
  for (size_t i = 0; i < mask.counts.size(); ++i) {
    pixels += mask.counts[i];
    if (i % 2 == 1) inside += mask.counts[i];
  }
  if (pixels != static_cast<uint64_t>(mask.width) * static_cast<uint64_t>(mask.height)) {
    throw_bad_input(name_of(prompt) + ": the mask's run lengths add up to " +
                    std::to_string(pixels) + ", expected " + size_text(mask.width, mask.height));
  }
  if (inside == 0) throw_bad_input(name_of(prompt) + ": the mask is empty, so it shows no object");
}

}  // namespace

void check_any_object_prompt(const ObjectPrompt& prompt) {
  if (prompt.id < 0) {
    throw_bad_input(name_of(prompt) + ": ids of objects are 0 or more");
  }
  if (prompt.points.empty() && !prompt.box && !prompt.mask && !prompt.previous) {
    throw_bad_input(name_of(prompt) + ": nothing points at it; give clicks, a box or a mask");
  }
  for (const ObjectPoint& point : prompt.points) {
    if (std::isfinite(point.x) && std::isfinite(point.y)) continue;
    throw_bad_input(name_of(prompt) + ": a click is not a finite number");
  }
  if (prompt.box) check_box(prompt);
  if (prompt.mask) check_mask(prompt);
}

void check_object_prompt(const ObjectPrompt& prompt) {
  if (prompt.previous) {
    throw_bad_input(name_of(prompt) +
                    ": logits of an earlier result refine objects of images, not of videos; leave "
                    "them out");
  }
  if (prompt.mask && (!prompt.points.empty() || prompt.box)) {
    throw_bad_input(name_of(prompt) +
                    ": a mask and clicks or a box together; in a video a mask is taken as it is, "
                    "so give one or the other");
  }
  check_any_object_prompt(prompt);
}

void check_object_prompt(const ObjectPrompt& prompt, int64_t width, int64_t height) {
  for (const ObjectPoint& point : prompt.points) {
    if (point.padding) continue;
    if (point.x >= 0 && point.y >= 0 && point.x <= static_cast<double>(width) &&
        point.y <= static_cast<double>(height)) {
      continue;
    }
    throw_bad_input(name_of(prompt) + ": the click " + std::to_string(point.x) + "," +
                    std::to_string(point.y) + " is outside the image of " +
                    size_text(width, height));
  }
  if (prompt.box) {
    const PixelBox& box = *prompt.box;
    if (box[2] <= 0 || box[3] <= 0 || box[0] >= static_cast<double>(width) ||
        box[1] >= static_cast<double>(height)) {
      throw_bad_input(name_of(prompt) + ": the box does not touch the image of " +
                      size_text(width, height));
    }
  }
  if (prompt.mask && (prompt.mask->width != width || prompt.mask->height != height)) {
    throw_bad_input(name_of(prompt) + ": the mask is one of " +
                    size_text(prompt.mask->width, prompt.mask->height) + ", the image has " +
                    size_text(width, height));
  }
}

std::vector<PromptToken> prompt_tokens(const ObjectPrompt& prompt, int64_t width, int64_t height,
                                       int64_t image) {
  const auto side = static_cast<double>(image);
  const auto scale_x = static_cast<float>(side / static_cast<double>(width));
  const auto scale_y = static_cast<float>(side / static_cast<double>(height));
  std::vector<PromptToken> tokens;
  const auto add = [&](double x, double y, int64_t label) {
    tokens.push_back({static_cast<float>(x) * scale_x, static_cast<float>(y) * scale_y, label});
  };
  if (prompt.box) {
    add((*prompt.box)[0], (*prompt.box)[1], 2);
    add((*prompt.box)[2], (*prompt.box)[3], 3);
  }
  for (const ObjectPoint& point : prompt.points) {
    if (point.padding) {
      tokens.push_back({0, 0, kPaddingLabel});
    } else {
      add(point.x, point.y, point.positive ? 1 : 0);
    }
  }
  if (tokens.empty()) return no_tokens();
  tokens.emplace_back();
  return tokens;
}

std::vector<PromptToken> limited_tokens(std::vector<PromptToken> tokens, int64_t most) {
  // The last token is not a point.
  const auto points = static_cast<int64_t>(tokens.size()) - 1;
  if (most <= 0 || points <= most) return tokens;
  tokens.erase(tokens.begin() + most / 2, tokens.begin() + (points - (most - most / 2)));
  return tokens;
}

std::vector<PromptToken> no_tokens() { return std::vector<PromptToken>(2); }

int64_t count_points(const ObjectPrompt& prompt) {
  return static_cast<int64_t>(prompt.points.size()) + (prompt.box ? 2 : 0);
}

std::vector<float> prompt_mask(const ObjectMask& mask, int64_t image) {
  const std::vector<uint8_t> pixels = rle_decode(mask.counts, mask.height, mask.width);
  std::vector<float> values(pixels.begin(), pixels.end());
  if (mask.width == image && mask.height == image) return values;
  std::vector<float> resized(static_cast<size_t>(image * image));
  resize_bilinear_antialias(values, mask.height, mask.width, resized, image, image);
  for (float& value : resized) value = value >= 0.5F ? 1.0F : 0.0F;
  return resized;
}

std::vector<float> soft_prompt_mask(std::span<const float> mask, int64_t width, int64_t height,
                                    int64_t side) {
  std::vector<float> resized(static_cast<size_t>(side * side));
  if (width == side && height == side) {
    std::ranges::copy(mask, resized.begin());
  } else {
    resize_bilinear_antialias(mask, height, width, resized, side, side);
  }
  return resized;
}

bool use_multimask(int64_t points, bool first, const TrackerConfig& config) {
  return config.multimask_in_sam && (first || config.multimask_for_tracking) &&
         config.multimask_min_points <= points && points <= config.multimask_max_points;
}

}  // namespace sam3trt
