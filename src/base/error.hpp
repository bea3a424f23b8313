#pragma once

#include "sam3trt/error.hpp"

namespace sam3trt {

/// Shorthand for the most common case.
[[noreturn]] inline void throw_bad_input(const std::string& message) {
  throw Error(ErrorCode::kBadInput, message);
}

}  // namespace sam3trt
