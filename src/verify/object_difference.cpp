#include "verify/object_difference.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "image/rle.hpp"
#include "verify/instance_difference.hpp"

namespace sam3trt {
namespace {

constexpr double kSmallestShare = 1e-3;  // of the image
constexpr int64_t kFramesTogether = 10;

[[noreturn]] void throw_different_prompts() {
  throw Error(ErrorCode::kInternal, "cannot compare results of different images or prompts");
}

double error_of(double a, double b) { return std::abs(a - b); }

void add_object(const ObjectResult& reference, const ObjectResult& actual, int64_t pixels,
                ObjectDifference& difference) {
  if (reference.id != actual.id || reference.candidates.size() != actual.candidates.size()) {
    throw_different_prompts();
  }
  difference.largest_score_error = std::max(difference.largest_score_error,
                                            error_of(reference.object_score, actual.object_score));
  for (size_t i = 0; i < reference.candidates.size(); ++i) {
    const MaskCandidate& a = reference.candidates[i];
    const MaskCandidate& b = actual.candidates[i];
    ++difference.masks;
    difference.smallest_mask_iou =
        std::min(difference.smallest_mask_iou, mask_agreement(a.counts, b.counts, pixels));
    difference.largest_score_error =
        std::max(difference.largest_score_error, error_of(a.score, b.score));
  }
}

/// Collects what frames have in common, and what they have not.
class TrackComparison {
 public:
  explicit TrackComparison(double borderline) : borderline_(borderline) {}

  void add(const FrameResult& reference, const FrameResult& actual) {
    if (reference.frame != actual.frame || reference.width != actual.width ||
        reference.height != actual.height) {
      throw_different_prompts();
    }
    if (difference_.frames % kFramesTogether == 0) end_part();
    ++difference_.frames;
    std::map<int64_t, const TrackedObject*> left;
    for (const TrackedObject& object : actual.objects) left[object.id] = &object;
    for (const TrackedObject& object : reference.objects) {
      const auto found = left.find(object.id);
      if (found == left.end()) {
        count_alone(object, reference.frame, difference_.lost);
        continue;
      }
      match(object, *found->second, reference.width * reference.height);
      left.erase(found);
    }
    for (const auto& [id, object] : left) {
      count_alone(*object, reference.frame, difference_.gained);
    }
  }

  [[nodiscard]] TrackDifference finish() {
    end_part();
    return std::move(difference_);
  }

 private:
  struct Mean {
    double sum = 0;
    int64_t count = 0;
  };

  void match(const TrackedObject& reference, const TrackedObject& actual, int64_t pixels) {
    ++difference_.matched;
    Mean& mean = part_[reference.id];
    mean.sum += mask_agreement(reference.counts, actual.counts, pixels);
    ++mean.count;
    difference_.largest_score_error = std::max(
        difference_.largest_score_error, error_of(reference.object_score, actual.object_score));
  }

  void count_alone(const TrackedObject& object, int64_t frame, int64_t& count) {
    if (std::abs(object.object_score - 0.5) < borderline_) {
      ++difference_.borderline;
      return;
    }
    ++count;
    if (difference_.first_difference < 0) difference_.first_difference = frame;
  }

  void end_part() {
    if (difference_.frames == 0) return;
    double lowest = 1;
    for (const auto& [id, mean] : part_) {
      lowest = std::min(lowest, mean.sum / static_cast<double>(mean.count));
    }
    difference_.mask_ious.push_back(lowest);
    part_.clear();
  }

  double borderline_;
  TrackDifference difference_;
  std::map<int64_t, Mean> part_;  ///< By object, of the ten frames that are being added.
};

}  // namespace

double mask_agreement(std::span<const uint32_t> a, std::span<const uint32_t> b, int64_t pixels) {
  const double iou = rle_iou(a, b);
  const auto areas = static_cast<double>(rle_area(a) + rle_area(b));
  const double joint = areas / (1 + iou);
  const double measured = std::max(joint, kSmallestShare * static_cast<double>(pixels));
  return measured == 0 ? 1.0 : 1 - joint * (1 - iou) / measured;
}

ObjectDifference compare_objects(std::span<const ImageResult> reference,
                                 std::span<const ImageResult> actual) {
  if (reference.size() != actual.size()) throw_different_prompts();
  ObjectDifference difference;
  for (size_t i = 0; i < reference.size(); ++i) {
    const auto& expected = reference[i].objects;
    const auto& found = actual[i].objects;
    if (expected.size() != found.size()) throw_different_prompts();
    for (size_t object = 0; object < expected.size(); ++object) {
      add_object(expected[object], found[object], reference[i].width * reference[i].height,
                 difference);
    }
  }
  return difference;
}

TrackDifference compare_tracks(std::span<const FrameResult> reference,
                               std::span<const FrameResult> actual, double borderline_score) {
  if (reference.size() != actual.size()) throw_different_prompts();
  TrackComparison comparison(borderline_score);
  for (size_t i = 0; i < reference.size(); ++i) comparison.add(reference[i], actual[i]);
  return comparison.finish();
}

}  // namespace sam3trt
