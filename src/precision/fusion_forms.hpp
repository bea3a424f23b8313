#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// A node of a form.
struct FusionStep {
  std::string name;
  std::string op;
  /// Tensors below the base, or "/PATH"; "": any constant; "$NAME": a constant, "@NAME": a tensor,
  /// the same wherever the name occurs.
  std::vector<std::string> inputs;
};

/// Nodes as export writes them, and the operator (base/own_operators.hpp) that takes their place.
/// Names are relative to a base, the path without `ending`.
struct FusionForm {
  std::string beginning;  ///< Of the path; "": any.
  std::string ending;
  std::vector<FusionStep> steps;
  std::string op;
  std::string name;
  std::vector<std::string> inputs;
  std::string output;
};

[[nodiscard]] inline bool is_named(std::string_view input) {
  return input.starts_with('$') || input.starts_with('@');
}

/// The vision encoder's attention, from the packed projections to the joined heads, as
/// src/model/vision_encoder.cpp writes it.
[[nodiscard]] const FusionForm& rotary_form();

/// A self-attention of the fusion encoder, from the projections to the joined heads, as
/// src/model/detector.cpp writes it.
[[nodiscard]] const FusionForm& self_form();

/// The decoder's attention to the picture, from the projections and the boxes to the joined heads,
/// as src/model/detector.cpp writes it.
[[nodiscard]] const FusionForm& grid_form();

/// The self-attention of memory attention, from the projections to the joined heads, as
/// src/model/memory_attention.cpp writes it.
[[nodiscard]] const FusionForm& rotated_form();

/// Its attention to memories, from the projections and the values to the joined heads.
[[nodiscard]] const FusionForm& memory_form();

/// The positions of the decoder's queries, from the boxes, as src/model/detector.cpp writes them.
[[nodiscard]] const FusionForm& position_form();

/// Products of the vision encoder, as src/model/vision_encoder.cpp writes them: that to queries,
/// keys and values, with the LayerNormalization before it; the one after attention, with the
/// residual; the whole MLP of a block; its second product alone, with the residual.
[[nodiscard]] const FusionForm& qkv_product_form();
[[nodiscard]] const FusionForm& projection_form();
[[nodiscard]] const FusionForm& mlp_form();
[[nodiscard]] const FusionForm& mlp_output_form();

}  // namespace sam3trt
