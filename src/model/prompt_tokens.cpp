#include "model/prompt_tokens.hpp"

#include "onnx/ops.hpp"

namespace sam3trt {

PromptTokens add_prompt_inputs(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const Dim boxes_and_cls = Dim("K").plus(1);
  const Value text =
      graph.add_input("text_features", DType::kF32, {"P", config.text.context, config.width});
  const Value geometry =
      graph.add_input("geometry_features", DType::kF32, {"P", boxes_and_cls, config.width});
  const Value mask =
      graph.add_input("prompt_mask", DType::kF32, {"P", boxes_and_cls.plus(config.text.context)});
  return {add_concat(graph, "/prompt/tokens", {text, geometry}, 1), mask,
          add_score_mask(graph, "/prompt/mask", mask)};
}

PromptTokens add_prompt_rows(ModelGraph& model, const PromptTokens& prompt, const Value& index) {
  Graph& graph = model.graph;
  const Value mask = add_gather(graph, "/prompt/row_mask", prompt.mask, index, 0);
  return {add_gather(graph, "/prompt/row_tokens", prompt.tokens, index, 0), mask,
          add_score_mask(graph, "/prompt/row_scores", mask)};
}

}  // namespace sam3trt
