#pragma once

#include <functional>
#include <string>

namespace sam3trt {

/// Whether the first axis of an input of that component counts prompts, or images where the
/// component has no prompts: prompts share the features of an image. Empty for a plan of another
/// program, whose `component` is "".
[[nodiscard]] std::function<bool(const std::string& input)> batched_inputs_of(
    const std::string& component);

}  // namespace sam3trt
