#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.hpp"
#include "runtime/model_files.hpp"
#include "runtime/request.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// How much a backend takes. All at least 1.
struct CallLimits {
  size_t images = 1;        ///< Through the vision encoder at once.
  size_t prompts = 8;       ///< Through the detector at once.
  size_t boxes = 1 << 20;   ///< Of one prompt.
  size_t mask_prompts = 1;  ///< Through the mask head at once.
  size_t masks = 256;       ///< Of one prompt, through the mask head at once.
  size_t objects = 16;      ///< Through each component of clicks and videos at once.
};

/// A text for the text encoder.
struct PreparedText {
  std::vector<int64_t> ids;  ///< L
  std::vector<float> mask;   ///< L: 1 where a token takes part in attention.
  std::string warning{};     ///< What was cut off; usually empty.
};

/// One prompt of one image.
struct PromptRow {
  size_t image = 0;               ///< Within the images that are encoded together.
  size_t prompt = 0;              ///< Of that image.
  std::string text;               ///< Key into PreparedCall::texts.
  std::array<int64_t, 2> size{};  ///< Width and height of the image in pixels.
};

/// Prompts that go through the detector together, with all that the host has to make for it.
struct PromptBatch {
  std::vector<PromptRow> rows;
  int64_t box_slots = 1;        ///< K
  bool needs_geometry = false;  ///< Otherwise `geometry_features` are zeros.
  /// `image_index`, `prompt_mask`, and the inputs of boxes where they are needed, by name
  /// (docs/graphs.md).
  std::map<std::string, Tensor> inputs;
};

/// Images that go through the vision encoder together.
struct ImageGroup {
  size_t first = 0;
  size_t count = 0;
  std::vector<PromptBatch> batches;
};

/// A call, checked whole and ready to run.
struct PreparedCall {
  std::map<std::string, PreparedText, std::less<>> texts;
  std::vector<ImageGroup> groups;
};

/// What is asked of an image, whose pixels do not matter here.
struct ImagePrompts {
  std::array<int64_t, 2> size{};  ///< Width and height in pixels.
  std::span<const Prompt> prompts;
};

/// Checks all prompts and makes everything that the host makes of them. Throws Error(kBadInput) for
/// what check_prompt and check_boxes refuse, more boxes than the limit, and texts that the
/// tokenizer refuses.
[[nodiscard]] PreparedCall prepare_call(std::span<const ImagePrompts> images,
                                        const CallLimits& limits, const Tokenizer& tokenizer,
                                        const ModelConfig& config, Semantics semantics);

/// Texts alone, for prompts that go with no image yet; without a check of boxes.
[[nodiscard]] PreparedCall prepare_texts(std::span<const Prompt> prompts,
                                         const Tokenizer& tokenizer, const ModelConfig& config,
                                         Semantics semantics);

}  // namespace sam3trt
