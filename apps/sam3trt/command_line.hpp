#pragma once

#include <string>
#include <vector>

namespace sam3trt {

/// Runs the program with the arguments that follow its name; returns the exit code. Throws Error
/// for wrong usage and for what a command throws.
[[nodiscard]] int run_command_line(const std::vector<std::string>& arguments);

}  // namespace sam3trt
