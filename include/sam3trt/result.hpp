#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sam3trt/error.hpp"
#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// What masks are given as.
enum class MaskOutput { kRunLengths, kDeviceBits, kBoth };

/// A mask as bits in the memory of the model's GPU: words of 32 bits in ceil(height / 32) rows and
/// `width` columns; bit y % 32 of word (y / 32) * width + x is the pixel (x, y). Bits below the
/// image's last row are 0.
struct DeviceMask {
  uint64_t address = 0;               ///< CUdeviceptr; 0 when it was not asked for.
  std::shared_ptr<const void> owner;  ///< Keeps the memory; masks of one call may share it.
};

/// One found object.
struct Instance {
  float score = 0;
  int64_t query = 0;               ///< Which of the detector's queries found it.
  std::array<float, 4> box{};      ///< x0 y0 x1 y1 in pixels.
  int64_t area = 0;                ///< Pixels inside the mask.
  std::vector<uint32_t> counts{};  ///< Run lengths of the mask, as COCO has them: by columns,
                                   ///< outside and inside in turn, beginning with outside.
  DeviceMask bits{};
};

/// What one prompt found, by falling score.
struct PromptResult {
  Prompt prompt;
  float presence = 0;  ///< Probability that the image shows what the prompt asks for.
  std::vector<Instance> instances;
};

/// One of several masks for the same prompt.
struct MaskCandidate {
  float score = 0;  ///< Predicted IoU.
  int64_t area = 0;
  std::vector<uint32_t> counts{};
  MaskLogits logits{};  ///< Where they were asked for.
};

/// One object that was pointed at.
struct ObjectResult {
  int64_t id = 0;
  float score = 0;             ///< Predicted IoU of the mask.
  double object_score = 0;     ///< Probability that there is an object.
  std::array<float, 4> box{};  ///< x0 y0 x1 y1: first and last pixel column and row of the mask.
  int64_t area = 0;            ///< Pixels inside the mask.
  std::vector<uint32_t> counts{};           ///< Run lengths of the mask, as in Instance.
  std::vector<MaskCandidate> candidates{};  ///< All masks, where several were asked for.
  MaskLogits logits{};                      ///< Of the mask, for ObjectPrompt::previous.
};

/// Milliseconds. `detector` is everything after the vision encoder that runs on the backend: text
/// encoder, geometry encoder, detector and mask head.
struct Timings {
  double decode = 0;
  double preprocess = 0;
  double vision_encoder = 0;
  double detector = 0;
  double postprocess = 0;
};

/// One image's results, or why there are none.
struct ImageResult {
  std::string path;  ///< Left to the caller.
  int64_t width = 0;
  int64_t height = 0;
  std::vector<PromptResult> prompts;
  std::vector<ObjectResult> objects;  ///< In the order in which they were asked for.
  Timings timings_ms;
  /// What failed. An image whose overlay alone could not be written has its results besides.
  std::optional<std::string> error;
  ErrorCode error_code = ErrorCode::kInternal;  ///< Of `error`.
};

}  // namespace sam3trt
