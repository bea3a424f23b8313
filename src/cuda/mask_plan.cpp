#include "cuda/mask_plan.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "base/sigmoid.hpp"
#include "image/image.hpp"

namespace sam3trt {
namespace {

/// Floats in rising order as numbers: number n is the n-th float from 0 on, negative ones below it.
float nth_float(int32_t number) {
  constexpr uint32_t kSign = 0x80000000U;
  return number >= 0 ? std::bit_cast<float>(number)
                     : std::bit_cast<float>(kSign | static_cast<uint32_t>(-number));
}

}  // namespace

MaskPlan plan_masks(std::span<const MaskRequest> requests, int64_t side) {
  MaskPlan plan;
  plan.tasks.reserve(requests.size());
  for (const MaskRequest& request : requests) {
    if (side <= 0 || request.height <= 0 || request.width <= 0 || request.height > kMaxImageSide ||
        request.width > kMaxImageSide || request.height * request.width > kMaxImagePixels) {
      throw Error(ErrorCode::kInternal, "plan_masks: a mask of " + std::to_string(request.width) +
                                            "x" + std::to_string(request.height) + " from " +
                                            std::to_string(side) + "x" + std::to_string(side));
    }
    MaskTask task;
    task.plane = request.plane;
    task.bits = plan.bit_words;
    task.columns = plan.columns;
    task.height = static_cast<int32_t>(request.height);
    task.width = static_cast<int32_t>(request.width);
    task.scale_y = static_cast<float>(side) / static_cast<float>(request.height);
    task.scale_x = static_cast<float>(side) / static_cast<float>(request.width);
    plan.bit_words += static_cast<uint64_t>((request.height + 31) / 32 * request.width);
    plan.columns += static_cast<uint64_t>(request.width);
    plan.tasks.push_back(task);
  }
  return plan;
}

float mask_cut(Semantics semantics, float threshold) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNever = std::numeric_limits<float>::quiet_NaN();
  if (semantics == Semantics::kHf) {
    return threshold < kInfinity ? std::nextafter(threshold, kInfinity) : kNever;
  }
  if (!(sigmoid(kInfinity) > threshold)) return kNever;
  if (sigmoid(-kInfinity) > threshold) return -kInfinity;
  const auto last = std::bit_cast<int32_t>(kInfinity);
  int64_t outside = -last;  // sigmoid is not above the threshold here, but it is at `inside`
  int64_t inside = last;
  while (inside - outside > 1) {
    const int64_t middle = (inside + outside) / 2;
    const bool above = sigmoid(nth_float(static_cast<int32_t>(middle))) > threshold;
    (above ? inside : outside) = middle;
  }
  return nth_float(static_cast<int32_t>(inside));
}

}  // namespace sam3trt
