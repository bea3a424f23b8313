#include "server/mask_nms.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "image/rle.hpp"

namespace sam3trt {
namespace {

struct Candidate {
  size_t prompt = 0;
  size_t index = 0;
  const Instance* instance = nullptr;
};

double iou(const Instance& a, const Instance& b) {
  const int64_t both = rle_intersection(a.counts, b.counts);
  const int64_t either = a.area + b.area - both;
  return either == 0 ? 0.0 : static_cast<double>(both) / static_cast<double>(either);
}

}  // namespace

void suppress_overlaps(ImageResult& result, double threshold) {
  std::vector<Candidate> candidates;
  for (size_t prompt = 0; prompt < result.prompts.size(); ++prompt) {
    const auto& instances = result.prompts[prompt].instances;
    for (size_t i = 0; i < instances.size(); ++i) candidates.push_back({prompt, i, &instances[i]});
  }
  std::ranges::stable_sort(candidates, [](const Candidate& a, const Candidate& b) {
    return a.instance->score > b.instance->score;
  });
  std::vector<Candidate> kept;
  for (const Candidate& one : candidates) {
    const bool hidden = std::ranges::any_of(kept, [&](const Candidate& other) {
      return iou(*one.instance, *other.instance) > threshold;
    });
    if (!hidden) kept.push_back(one);
  }
  std::ranges::sort(kept, [](const Candidate& a, const Candidate& b) {
    return std::pair(a.prompt, a.index) < std::pair(b.prompt, b.index);
  });
  std::vector<std::vector<Instance>> left(result.prompts.size());
  for (const Candidate& one : kept) {
    left[one.prompt].push_back(std::move(result.prompts[one.prompt].instances[one.index]));
  }
  for (size_t i = 0; i < left.size(); ++i) result.prompts[i].instances = std::move(left[i]);
}

}  // namespace sam3trt
