#include "verify/instance_difference.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Walks through the runs of a mask; odd runs are inside.
class RunReader {
 public:
  explicit RunReader(std::span<const uint32_t> counts) : counts_(counts) { skip_empty(); }

  [[nodiscard]] bool done() const { return index_ >= counts_.size(); }
  [[nodiscard]] bool inside() const { return index_ % 2 == 1; }
  [[nodiscard]] uint64_t left() const { return counts_[index_] - used_; }

  void advance(uint64_t pixels) {
    used_ += pixels;
    skip_empty();
  }

 private:
  void skip_empty() {
    while (index_ < counts_.size() && used_ >= counts_[index_]) {
      ++index_;
      used_ = 0;
    }
  }

  std::span<const uint32_t> counts_;
  size_t index_ = 0;
  uint64_t used_ = 0;
};

struct Pair {
  double iou = 0;
  size_t reference = 0;
  size_t actual = 0;
};

std::vector<Pair> overlapping_pairs(const PromptResult& reference, const PromptResult& actual,
                                    double minimum_iou) {
  std::vector<Pair> pairs;
  for (size_t r = 0; r < reference.instances.size(); ++r) {
    for (size_t a = 0; a < actual.instances.size(); ++a) {
      const double iou = rle_iou(reference.instances[r].counts, actual.instances[a].counts);
      if (iou >= minimum_iou) pairs.push_back({iou, r, a});
    }
  }
  std::ranges::stable_sort(pairs, std::ranges::greater{}, &Pair::iou);
  return pairs;
}

void add_match(const Instance& reference, const Instance& actual, double iou,
               InstanceDifference& difference) {
  ++difference.matched;
  difference.smallest_mask_iou = std::min(difference.smallest_mask_iou, iou);
  difference.largest_score_error =
      std::max(difference.largest_score_error,
               std::abs(static_cast<double>(reference.score) - actual.score));
  for (size_t i = 0; i < reference.box.size(); ++i) {
    difference.largest_box_error =
        std::max(difference.largest_box_error,
                 std::abs(static_cast<double>(reference.box[i]) - actual.box[i]));
  }
}

/// Counts the instances that `used` does not mark.
int64_t count_unmatched(const std::vector<Instance>& instances, const std::vector<bool>& used,
                        const MatchOptions& options, int64_t& borderline) {
  int64_t count = 0;
  for (size_t i = 0; i < instances.size(); ++i) {
    if (used[i]) continue;
    if (instances[i].score - options.threshold < options.borderline_score) {
      ++borderline;
    } else {
      ++count;
    }
  }
  return count;
}

InstanceDifference compare_prompt(const PromptResult& reference, const PromptResult& actual,
                                  const MatchOptions& options) {
  InstanceDifference difference;
  std::vector<bool> reference_used(reference.instances.size());
  std::vector<bool> actual_used(actual.instances.size());
  for (const Pair& pair : overlapping_pairs(reference, actual, options.minimum_iou)) {
    if (reference_used[pair.reference] || actual_used[pair.actual]) continue;
    reference_used[pair.reference] = true;
    actual_used[pair.actual] = true;
    add_match(reference.instances[pair.reference], actual.instances[pair.actual], pair.iou,
              difference);
  }
  difference.lost =
      count_unmatched(reference.instances, reference_used, options, difference.borderline);
  difference.gained =
      count_unmatched(actual.instances, actual_used, options, difference.borderline);
  difference.largest_presence_error =
      std::abs(static_cast<double>(reference.presence) - actual.presence);
  return difference;
}

}  // namespace

double rle_iou(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  RunReader reader_a(a);
  RunReader reader_b(b);
  uint64_t intersection = 0;
  uint64_t joint = 0;
  while (!reader_a.done() && !reader_b.done()) {
    const uint64_t pixels = std::min(reader_a.left(), reader_b.left());
    if (reader_a.inside() && reader_b.inside()) intersection += pixels;
    if (reader_a.inside() || reader_b.inside()) joint += pixels;
    reader_a.advance(pixels);
    reader_b.advance(pixels);
  }
  if (!reader_a.done() || !reader_b.done()) {
    throw Error(ErrorCode::kInternal, "cannot compare masks of different sizes");
  }
  return joint == 0 ? 1.0 : static_cast<double>(intersection) / static_cast<double>(joint);
}

InstanceDifference compare_results(const ImageResult& reference, const ImageResult& actual,
                                   const MatchOptions& options) {
  if (reference.prompts.size() != actual.prompts.size() || reference.width != actual.width ||
      reference.height != actual.height) {
    throw Error(ErrorCode::kInternal, "cannot compare results of different pictures or prompts");
  }
  InstanceDifference total;
  for (size_t i = 0; i < reference.prompts.size(); ++i) {
    total = combine(total, compare_prompt(reference.prompts[i], actual.prompts[i], options));
  }
  return total;
}

InstanceDifference combine(const InstanceDifference& a, const InstanceDifference& b) {
  return {.matched = a.matched + b.matched,
          .lost = a.lost + b.lost,
          .gained = a.gained + b.gained,
          .borderline = a.borderline + b.borderline,
          .smallest_mask_iou = std::min(a.smallest_mask_iou, b.smallest_mask_iou),
          .largest_score_error = std::max(a.largest_score_error, b.largest_score_error),
          .largest_box_error = std::max(a.largest_box_error, b.largest_box_error),
          .largest_presence_error = std::max(a.largest_presence_error, b.largest_presence_error)};
}

}  // namespace sam3trt
