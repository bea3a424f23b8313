#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/semantics.hpp"
#include "sam3trt/prompt.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

struct ModelConfig;

/// Parses "x0,y0,x1,y1"; `option` appears in messages. Throws Error(kBadInput) for anything but
/// four finite numbers with x0 < x1 and y0 < y1. Warns of a box that is smaller than a pixel.
[[nodiscard]] PixelBox parse_box(std::string_view text, const std::string& option);

/// The text the text encoder sees: the prompt's own, or "visual" when there are only boxes, as
/// upstream's Sam3Processor has it.
[[nodiscard]] std::string_view effective_text(const Prompt& prompt);

/// Throws Error(kBadInput) when the prompt asks for nothing on any image: no text, a text without
/// any token, one with too many under Semantics::kHf, invalid UTF-8, or a box that is not finite or
/// inverted.
void check_prompt(const Prompt& prompt, const Tokenizer& tokenizer, const ModelConfig& config,
                  Semantics semantics);

/// Throws Error(kBadInput) for a box that does not touch the image, or that reaches beyond it by
/// more than its own size (no exemplar, but a mistake in units). Boxes that hang over the border
/// are kept as they are, as upstream does.
void check_boxes(const Prompt& prompt, int64_t width, int64_t height);

/// Centre x, centre y, width, height, each divided by the image's size; single precision in the
/// order of operations of Hugging Face's Sam3Processor.
[[nodiscard]] std::array<float, 4> normalised_box(const PixelBox& box, int64_t width,
                                                  int64_t height);

}  // namespace sam3trt
