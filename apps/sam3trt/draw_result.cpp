#include "draw_result.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include "overlay/overlay.hpp"

namespace sam3trt {
namespace {

constexpr Color kPositive = {40, 200, 60};
constexpr Color kNegative = {220, 40, 40};

std::string label_of(const Prompt& prompt, const Instance& instance) {
  char score[16];
  std::snprintf(score, sizeof score, " %.2f", static_cast<double>(instance.score));
  return std::string(effective_text(prompt)) + score;
}

}  // namespace

Image draw_result(const Image& image, const ImageResult& result) {
  std::vector<OverlayInstance> instances;
  std::vector<OverlayBox> boxes;
  const bool one_prompt = result.prompts.size() == 1;
  for (size_t p = 0; p < result.prompts.size(); ++p) {
    const PromptResult& prompt = result.prompts[p];
    for (size_t i = 0; i < prompt.instances.size(); ++i) {
      const Instance& instance = prompt.instances[i];
      const Color color = one_prompt ? palette_color(i) : shade_of(palette_color(p), i);
      instances.push_back({instance.counts,
                           {instance.box[0], instance.box[1], instance.box[2], instance.box[3]},
                           color,
                           label_of(prompt.prompt, instance)});
    }
    for (const PromptBox& entry : prompt.prompt.boxes) {
      boxes.push_back({entry.box, entry.positive ? kPositive : kNegative});
    }
  }
  for (size_t i = 0; i < result.objects.size(); ++i) {
    const ObjectResult& object = result.objects[i];
    instances.push_back({object.counts,
                         {object.box[0], object.box[1], object.box[2] + 1, object.box[3] + 1},
                         palette_color(result.prompts.size() + i),
                         std::to_string(object.id)});
  }
  Image drawn = image;
  draw_overlay(drawn, instances, boxes);
  return drawn;
}

}  // namespace sam3trt
