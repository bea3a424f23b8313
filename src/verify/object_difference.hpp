#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sam3trt/result.hpp"
#include "sam3trt/video.hpp"

namespace sam3trt {

/// 1 - differing pixels / pixels of either mask: the intersection over union, but that masks which
/// cover less than a thousandth of the image are measured against that thousandth, because a pixel
/// on the edge of a speck says nothing about an engine. Run lengths of images of `pixels` pixels.
[[nodiscard]] double mask_agreement(std::span<const uint32_t> a, std::span<const uint32_t> b,
                                    int64_t pixels);

/// How masks of clicks, boxes and masks on images differ from those of the reference.
struct ObjectDifference {
  int64_t masks = 0;  ///< Compared: each that the model offers for a prompt.
  double smallest_mask_iou = 1;
  double largest_score_error = 0;  ///< Of predicted IoUs and probabilities of an object.
};

/// Both must be results of the same images and prompts; throws Error(kInternal) otherwise.
[[nodiscard]] ObjectDifference compare_objects(std::span<const ImageResult> reference,
                                               std::span<const ImageResult> actual);

/// How a tracked clip differs from that of the reference. Objects are the same by their ids.
struct TrackDifference {
  int64_t frames = 0;
  int64_t matched = 0;            ///< Objects on frames on which both have them.
  int64_t lost = 0;               ///< Only the reference has them,
  int64_t gained = 0;             ///< or only the other run.
  int64_t borderline = 0;         ///< Lost or gained where their probability is next to a half; not
                                  ///< counted above.
  int64_t first_difference = -1;  ///< Frame of the first lost or gained one; -1: none.
  /// Of each ten frames, the lowest mean that any object's masks have: drift shows here.
  std::vector<double> mask_ious;
  double largest_score_error = 0;  ///< Of the probabilities that an object is there.
};

/// Of the same frames; throws Error(kInternal) otherwise. Objects whose probability is within
/// `borderline_score` of a half may come and go.
[[nodiscard]] TrackDifference compare_tracks(std::span<const FrameResult> reference,
                                             std::span<const FrameResult> actual,
                                             double borderline_score);

}  // namespace sam3trt
