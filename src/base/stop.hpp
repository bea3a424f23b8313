#pragma once

#include <stop_token>
#include <string>

#include "base/error.hpp"

namespace sam3trt {

/// The caller asked for the end of a long piece of work, which left nothing half done.
class StoppedError : public Error {
 public:
  explicit StoppedError(const std::string& message) : Error(ErrorCode::kInternal, message) {}
};

/// Throws StoppedError when the end was asked for; `what` names the work.
inline void throw_if_stopped(const std::stop_token& stop, const std::string& what) {
  if (stop.stop_requested()) throw StoppedError(what + " was cancelled");
}

}  // namespace sam3trt
