#pragma once

#include <string>

#include "checkpoint/config.hpp"
#include "checkpoint/json_fields.hpp"

namespace sam3trt {

// Fields of a config.json that several of its objects have. Each notes a problem for a value that
// no graph of this project expresses.

/// "hidden_act", or `key`.
[[nodiscard]] Activation json_activation(const JsonFields& fields, const char* fallback,
                                         const char* key = "hidden_act");

/// A field whose only supported value is known.
void require_text(const JsonFields& fields, const char* key, const std::string& found,
                  const std::string& expected);

/// The theta of "rope_parameters", whose type must be "axial".
[[nodiscard]] double json_rope_theta(const JsonFields& fields);

}  // namespace sam3trt
