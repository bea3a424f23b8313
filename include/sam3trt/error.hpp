#pragma once

#include <stdexcept>
#include <string>

#include "sam3trt/export.hpp"

namespace sam3trt {

/// What kind of failure an Error reports; the program maps each to one exit code.
enum class ErrorCode {
  kInternal,            ///< A defect or an unexpected failure of the system (exit code 1).
  kBadInput,            ///< Wrong usage, or a file that is not what it should be (exit code 2).
  kUnavailable,         ///< The asked backend, GPU or precision is not there (exit code 3).
  kVerificationFailed,  ///< A result differs from its reference by more than allowed (exit code 4).
};

/// The only exception the library throws on purpose. The message names the file, tensor or option,
/// what was expected, what was found, and the next step.
class SAM3TRT_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace sam3trt
