#pragma once

#include <span>
#include <vector>

#include "runtime/backend.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// An output of the component's last run, checked as those of engines on the host are. Throws
/// Error(kInternal) for one that is not float32 of that shape or holds numbers that are not finite.
[[nodiscard]] Tensor checked_output(Backend& backend, Component component, const char* output,
                                    const Shape& shape);

/// Puts `point_coords` and `point_labels` of the SAM decoder: the tokens of each object, equally
/// many for all.
void put_tokens(Backend& backend, std::span<const std::vector<PromptToken>* const> objects);

}  // namespace sam3trt
