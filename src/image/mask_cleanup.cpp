#include "image/mask_cleanup.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/pack_above.hpp"

namespace sam3trt {
namespace {

/// Pixels of one row that are next to one another.
struct Run {
  uint32_t row = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
};

/// 8-connected components of a binary image, from the runs of its rows. A mask of noise has tens of
/// thousands of them, so numbers are no wider than a mask needs.
class Components {
 public:
  /// Of the pixels of square logits that are above 0, or of all others.
  Components(std::span<const float> logits, int64_t side, bool foreground)
      : side_(static_cast<uint32_t>(side)), words_((static_cast<size_t>(side) + 63) / 64) {
    const uint64_t flipped = foreground ? 0 : ~uint64_t{0};
    size_t above = 0;  // first run of the row above
    for (uint32_t row = 0; row < side_; ++row) {
      const auto width = static_cast<size_t>(side);
      pack_above(logits.subspan(static_cast<size_t>(row) * width, width), 0.0F, words_);
      for (uint64_t& word : words_) word ^= flipped;
      if (width % 64 != 0) words_.back() &= (uint64_t{1} << (width % 64)) - 1;
      const size_t first = runs_.size();
      find_runs(row);
      join(above, first);
      above = first;
    }
    areas_.resize(runs_.size());
    for (size_t i = 0; i < runs_.size(); ++i) {
      parents_[i] = parents_[parents_[i]];  // a root: parents come first
      areas_[parents_[i]] += runs_[i].end - runs_[i].begin;
    }
  }

  /// Calls `use` with each run of a component of at most `max_area` pixels.
  template <typename Use>
  void each_small(int64_t max_area, Use use) {
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (areas_[parents_[i]] <= max_area) use(runs_[i]);
    }
  }

  [[nodiscard]] int64_t pixels() const {
    int64_t all = 0;
    for (const Run& run : runs_) all += run.end - run.begin;
    return all;
  }

 private:
  /// First pixel from `from` on that is set, or is not; the row's end without one.
  [[nodiscard]] uint32_t next(uint32_t from, bool set) const {
    while (from < side_) {
      const uint64_t word = words_[from / 64];
      const uint64_t rest = (set ? word : ~word) >> (from % 64);
      if (rest != 0) return std::min(from + static_cast<uint32_t>(std::countr_zero(rest)), side_);
      from = (from / 64 + 1) * 64;
    }
    return side_;
  }

  void find_runs(uint32_t row) {
    for (uint32_t x = next(0, true); x < side_;) {
      const uint32_t end = next(x, false);
      runs_.push_back({row, x, end});
      parents_.push_back(static_cast<uint32_t>(parents_.size()));
      x = next(end, true);
    }
  }

  /// Joins the runs of a row, from `first` on, with those of the row above, which begin at `above`.
  void join(size_t above, size_t first) {
    size_t high = above;
    size_t low = first;
    while (high < first && low < runs_.size()) {
      if (runs_[high].begin <= runs_[low].end && runs_[low].begin <= runs_[high].end) {
        const uint32_t a = root(static_cast<uint32_t>(high));
        const uint32_t b = root(static_cast<uint32_t>(low));
        parents_[std::max(a, b)] = std::min(a, b);
      }
      (runs_[high].end < runs_[low].end ? high : low) += 1;
    }
  }

  [[nodiscard]] uint32_t root(uint32_t run) {
    while (parents_[run] != run) run = parents_[run] = parents_[parents_[run]];
    return run;
  }

  uint32_t side_;
  std::vector<uint64_t> words_;  ///< Of one row.
  std::vector<Run> runs_;
  std::vector<uint32_t> parents_;  ///< At the end all are roots.
  std::vector<uint32_t> areas_;    ///< Of roots.
};

/// Sets the pixels of small components to `value`.
void replace_small(Components& components, std::span<float> logits, int64_t side, int64_t max_area,
                   float value) {
  components.each_small(max_area, [&](const Run& run) {
    std::fill_n(logits.data() + run.row * side + run.begin, run.end - run.begin, value);
  });
}

}  // namespace

void clean_mask(std::span<float> logits, int64_t side, int64_t max_area) {
  if (max_area < 1) return;
  Components background(logits, side, false);
  replace_small(background, logits, side, max_area, kFilledHole);
  Components foreground(logits, side, true);
  replace_small(foreground, logits, side, std::min(foreground.pixels() / 2, max_area), kTakenSpeck);
}

void fill_holes(std::span<float> logits, int64_t side, int64_t max_area) {
  constexpr float kInside = 10.0F;
  Components background(logits, side, false);
  replace_small(background, logits, side, max_area, kInside);
}

}  // namespace sam3trt
