#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"
#include "runtime/model_files.hpp"
#include "runtime/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// The box inputs of `geometry_encoder` for P prompts on one image (docs/graphs.md); K is the
/// largest number of boxes of a prompt and at least 1.
struct GeometryInputs {
  Tensor boxes;       ///< [P, K, 4]
  Tensor box_labels;  ///< int64 [P, K]
  Tensor box_mask;    ///< [P, K]
  Tensor pool_y;      ///< [P, K, r, g]
  Tensor pool_x;      ///< [P, K, r, g]
};

/// Box slots K of a batch.
[[nodiscard]] int64_t box_slots(std::span<const Prompt> prompts);

/// True when some prompt's geometry tokens take part: one with boxes, or under Meta's semantics any
/// prompt, because it keeps the CLS token of text-only prompts.
[[nodiscard]] bool needs_geometry(std::span<const Prompt> prompts, Semantics semantics);

/// `sizes[p]` are the width and height in pixels of the image of prompt p.
[[nodiscard]] GeometryInputs make_geometry_inputs(std::span<const Prompt> prompts,
                                                  std::span<const std::array<int64_t, 2>> sizes,
                                                  const ModelConfig& config);

/// What the text encoder gets for a text: `ids` [L] and `mask` [L], L the context length of the
/// model. Throws Error(kBadInput) as Tokenizer::encode.
[[nodiscard]] EncodedText encode_text(std::string_view text, const Tokenizer& tokenizer,
                                      const ModelConfig& config, Semantics semantics);

/// What was cut off a text that is too long under Meta's semantics, as a sentence; empty for
/// others.
[[nodiscard]] std::string describe_cut(std::string_view text, const EncodedText& encoded);

/// `prompt_mask` [P, L + K + 1]: valid text tokens, valid boxes, and the CLS token where it counts.
/// `text_masks[p]` holds L values.
[[nodiscard]] Tensor make_prompt_mask(std::span<const Prompt> prompts,
                                      std::span<const std::vector<float>> text_masks,
                                      Semantics semantics);

}  // namespace sam3trt
