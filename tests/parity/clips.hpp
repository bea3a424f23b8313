#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "image/image.hpp"
#include "sam3trt/object_prompt.hpp"

namespace sam3trt::parity {

/// A frame of a clip as the build's fixture drew it.
[[nodiscard]] Image frame_of(const std::string& clip, int64_t frame);

/// An object as goldens and prompt files describe it.
[[nodiscard]] ObjectPrompt object_of(const nlohmann::json& entry);

/// 1 for two empty masks.
[[nodiscard]] double mask_iou(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace sam3trt::parity
