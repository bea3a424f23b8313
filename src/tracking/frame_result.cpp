#include "tracking/frame_result.hpp"

#include <utility>
#include <vector>

#include "image/rle.hpp"
#include "tracking/overlaps.hpp"

namespace sam3trt {

TrackedObject shown_object(const TrackStepOutput& output, FrameMask mask, int64_t height) {
  TrackedObject object;
  object.counts = std::move(mask.counts);
  object.area = mask.area;
  object.id = output.id;
  object.score = static_cast<float>(output.object_score);
  object.object_score = output.object_score;
  object.box = rle_box(object.counts, height);
  return object;
}

FrameResult final_result(HeldFrame held) {
  FrameResult result{held.frame, held.width, held.height, {}};
  std::vector<ShownMask> masks;
  std::vector<size_t> whose;
  for (HeldObject& object : held.objects) {
    if (object.concept_index) whose.push_back(result.objects.size());
    result.objects.push_back(std::move(object.object));
  }
  if (whose.size() < 2) return result;
  for (const size_t index : whose) {
    TrackedObject& object = result.objects[index];
    masks.push_back({*held.objects[index].concept_index, static_cast<float>(object.object_score),
                     std::move(object.counts)});
  }
  part_pixels(masks, held.height, held.width);
  for (size_t i = 0; i < whose.size(); ++i) {
    TrackedObject& object = result.objects[whose[i]];
    object.counts = std::move(masks[i].counts);
    object.area = rle_area(object.counts);
  }
  return result;
}

}  // namespace sam3trt
