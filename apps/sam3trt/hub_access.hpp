#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine_support.hpp"

namespace sam3trt {

/// The file at a URL (fetch_file). Throws Error(kUnavailable) in a build without SAM3TRT_HUB.
[[nodiscard]] std::vector<std::byte> fetch_from_web(const std::string& url);

/// Whether there is a token for 'sam3trt download'; nothing in a build without it.
[[nodiscard]] std::optional<Finding> check_hub_token();

}  // namespace sam3trt
