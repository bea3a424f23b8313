#pragma once

#include "model/layers.hpp"

namespace sam3trt {

/// The prompt as the detector and the mask head see it: text tokens, then geometry tokens.
struct PromptTokens {
  Value tokens;      ///< [P, T, D]
  Value mask;        ///< [P, T], 1 for valid tokens
  Value score_mask;  ///< [P, 1, 1, T], additive
};

/// Adds the inputs `text_features`, `geometry_features` and `prompt_mask` and joins them.
PromptTokens add_prompt_inputs(ModelGraph& model);

/// The same prompts picked by `index` (int64 [R]).
PromptTokens add_prompt_rows(ModelGraph& model, const PromptTokens& prompt, const Value& index);

}  // namespace sam3trt
