#include "runtime/prompt_batch.hpp"

#include <algorithm>
#include <string>

#include "runtime/roi_weights.hpp"
#include "text/unicode.hpp"

namespace sam3trt {

int64_t box_slots(std::span<const Prompt> prompts) {
  size_t slots = 1;
  for (const Prompt& prompt : prompts) slots = std::max(slots, prompt.boxes.size());
  return static_cast<int64_t>(slots);
}

bool needs_geometry(std::span<const Prompt> prompts, Semantics semantics) {
  return semantics == Semantics::kMeta ||
         std::ranges::any_of(prompts, [](const Prompt& prompt) { return !prompt.boxes.empty(); });
}

GeometryInputs make_geometry_inputs(std::span<const Prompt> prompts,
                                    std::span<const std::array<int64_t, 2>> sizes,
                                    const ModelConfig& config) {
  const auto rows = static_cast<int64_t>(prompts.size());
  const int64_t slots = box_slots(prompts);
  const Shape pool = {rows, slots, config.roi_size, config.grid};
  GeometryInputs inputs{Tensor(DType::kF32, {rows, slots, 4}), Tensor(DType::kI64, {rows, slots}),
                        Tensor(DType::kF32, {rows, slots}), Tensor(DType::kF32, pool),
                        Tensor(DType::kF32, pool)};
  const auto pool_size = static_cast<size_t>(config.roi_size * config.grid);
  for (size_t row = 0; row < prompts.size(); ++row) {
    for (size_t slot = 0; slot < prompts[row].boxes.size(); ++slot) {
      const PromptBox& entry = prompts[row].boxes[slot];
      const size_t index = row * static_cast<size_t>(slots) + slot;
      const auto box = normalised_box(entry.box, sizes[row][0], sizes[row][1]);
      std::ranges::copy(box, inputs.boxes.f32().subspan(index * 4).begin());
      inputs.box_labels.i64()[index] = entry.positive ? 1 : 0;
      inputs.box_mask.f32()[index] = 1.0F;
      fill_roi_weights(box, config.roi_size, config.grid,
                       inputs.pool_y.f32().subspan(index * pool_size, pool_size),
                       inputs.pool_x.f32().subspan(index * pool_size, pool_size));
    }
  }
  return inputs;
}

EncodedText encode_text(std::string_view text, const Tokenizer& tokenizer,
                        const ModelConfig& config, Semantics semantics) {
  return tokenizer.encode(text, static_cast<size_t>(config.context_length), config.pad_token_id,
                          semantics);
}

std::string describe_cut(std::string_view text, const EncodedText& encoded) {
  if (encoded.tokens <= encoded.ids.size()) return {};
  return "the text " + in_quotes(text) + " has " + std::to_string(encoded.tokens) +
         " tokens with its start and end marks, the text encoder takes " +
         std::to_string(encoded.ids.size()) + "; cut off: " + in_quotes(encoded.cut_off);
}

Tensor make_prompt_mask(std::span<const Prompt> prompts,
                        std::span<const std::vector<float>> text_masks, Semantics semantics) {
  const auto context = static_cast<int64_t>(text_masks.front().size());
  const int64_t tokens = context + box_slots(prompts) + 1;
  Tensor mask(DType::kF32, {static_cast<int64_t>(prompts.size()), tokens});
  for (size_t row = 0; row < prompts.size(); ++row) {
    const auto values =
        mask.f32().subspan(row * static_cast<size_t>(tokens), static_cast<size_t>(tokens));
    std::ranges::copy(text_masks[row], values.begin());
    const size_t boxes = prompts[row].boxes.size();
    std::fill_n(values.begin() + context, boxes, 1.0F);
    if (boxes > 0 || semantics == Semantics::kMeta) values.back() = 1.0F;
  }
  return mask;
}

}  // namespace sam3trt
