#pragma once

#include <functional>

#include "server/http.hpp"

namespace sam3trt {

/// The handler with another form of errors: `form` makes the body of a problem, and may change its
/// status. Everything that the handler throws goes through it.
[[nodiscard]] Handler with_errors(Handler handler,
                                  std::function<std::string(HttpProblem& problem)> form);

}  // namespace sam3trt
