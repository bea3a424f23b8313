#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

/// A binary mask, packed.
class BitMask {
 public:
  BitMask() = default;
  /// Set where a logit is above the threshold.
  explicit BitMask(std::span<const float> logits, float threshold = 0.0F);
  /// Of bits as pack_above() gives them.
  explicit BitMask(std::vector<uint64_t> words);

  /// Of `size` pixels, none set.
  [[nodiscard]] static BitMask nothing(size_t size) {
    return BitMask(std::vector<uint64_t>((size + 63) / 64));
  }

  [[nodiscard]] int64_t area() const { return area_; }
  [[nodiscard]] bool empty() const { return area_ == 0; }
  [[nodiscard]] std::span<const uint64_t> words() const { return words_; }  ///< As packed.

  /// Pixels set in both; the masks must be of one size.
  [[nodiscard]] int64_t overlap(const BitMask& other) const;

 private:
  std::vector<uint64_t> words_;
  size_t first_ = 0;  ///< Words from first_ to end_ hold all that is set.
  size_t end_ = 0;
  int64_t area_ = 0;
};

/// Intersection over union, 0 for two empty masks; single precision as the reference has it.
[[nodiscard]] float mask_iou(const BitMask& a, const BitMask& b);

}  // namespace sam3trt
