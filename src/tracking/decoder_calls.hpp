#pragma once

#include <span>
#include <vector>

#include "base/tracker_config.hpp"
#include "runtime/backend.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// Whether none is NaN or infinite; fast, for masks.
[[nodiscard]] bool all_finite(std::span<const float> values);

/// An output, or rows of it, and the shape that what is read must have.
struct WantedOutput {
  OutputPart part;
  Shape shape;
};

/// Outputs of the component's last run, with one wait for the backend, checked as those of engines
/// on the host are. Throws Error(kInternal) for one that is not float32 of that shape or holds
/// numbers that are not finite.
[[nodiscard]] std::vector<Tensor> checked_outputs(Backend& backend, Component component,
                                                  std::span<const WantedOutput> wanted);

/// Planes of the SAM decoder's masks by index, [planes, side * side]; nothing is copied for none.
[[nodiscard]] Tensor decoder_masks(Backend& backend, std::vector<size_t> planes, int64_t side);

/// Of each of some single masks of the SAM decoder, by plane, whether it is stable (is_stable()).
[[nodiscard]] std::vector<bool> are_stable(Backend& backend, std::span<const size_t> planes,
                                           int64_t side, const TrackerConfig& config);

/// Puts `point_coords` and `point_labels` of the SAM decoder: the tokens of each object, equally
/// many for all.
void put_tokens(Backend& backend, std::span<const std::vector<PromptToken>* const> objects);

}  // namespace sam3trt
