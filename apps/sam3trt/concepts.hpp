#pragma once

#include <string>
#include <vector>

#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// What --text, --box and --negative-box ask for: one prompt per text, each with all boxes; boxes
/// alone are one prompt. Throws Error(kBadInput) for a box that is not one.
[[nodiscard]] std::vector<Prompt> concepts_of(const std::vector<std::string>& texts,
                                              const std::vector<std::string>& boxes,
                                              const std::vector<std::string>& negative_boxes);

}  // namespace sam3trt
