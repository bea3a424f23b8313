#pragma once

#include <string>

namespace sam3trt {

/// What all commands share. Filled by the command line before a command's callback runs.
struct CommandContext {
  bool json = false;     ///< Print the result as JSON.
  bool verbose = false;  ///< Show informative messages.
  std::string config;    ///< Configuration file whose values have been applied; empty: none.
  int exit_code = 0;     ///< Set by a command that finished its work but met bad input on the way.
};

}  // namespace sam3trt
