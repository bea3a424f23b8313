#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tracker_config.hpp"
#include "sam3trt/object_prompt.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// Label of the token that fills up a prompt with fewer points than others of its call; it is
/// attended to.
inline constexpr int64_t kPaddingLabel = -10;

/// Throws Error(kBadInput) for what no image or frame can take: an id below 0, nothing that points
/// at an object, numbers that are not finite, an inverted box, or run lengths that do not fill the
/// mask.
void check_any_object_prompt(const ObjectPrompt& prompt);

/// The same, and for what no frame of a video can take: a mask beside clicks or a box, or logits of
/// an earlier result.
void check_object_prompt(const ObjectPrompt& prompt);

/// Throws Error(kBadInput) for clicks outside an image or frame of width x height pixels, a box
/// that does not touch it, or a mask of another size.
void check_object_prompt(const ObjectPrompt& prompt, int64_t width, int64_t height);

/// Tokens of clicks and a box: the corners, the clicks, and the token that is not a point and ends
/// every prompt. Without either two of the latter. `image` is the side of the model's input.
[[nodiscard]] std::vector<PromptToken> prompt_tokens(const ObjectPrompt& prompt, int64_t width,
                                                     int64_t height, int64_t image);

/// Of more than `most` clicks and corners, the first and the last ones; all where `most` is 0.
[[nodiscard]] std::vector<PromptToken> limited_tokens(std::vector<PromptToken> tokens,
                                                      int64_t most);

/// Tokens where nothing is pointed at.
[[nodiscard]] std::vector<PromptToken> no_tokens();

/// Clicks and corners; what decides between one mask and several.
[[nodiscard]] int64_t count_points(const ObjectPrompt& prompt);

/// The prompted mask at the model's size: image * image values, 0 or 1.
[[nodiscard]] std::vector<float> prompt_mask(const ObjectMask& mask, int64_t image);

/// The prompted mask at the side of the memory encoder's masks, softly: side * side values 0..1.
[[nodiscard]] std::vector<float> soft_prompt_mask(std::span<const float> mask, int64_t width,
                                                  int64_t height, int64_t side);

/// Whether the decoder's result is the best of several masks. `first`: the object is pointed at
/// without memory.
[[nodiscard]] bool use_multimask(int64_t points, bool first, const TrackerConfig& config);

}  // namespace sam3trt
