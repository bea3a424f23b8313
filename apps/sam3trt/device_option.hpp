#pragma once

#include <CLI/CLI.hpp>

namespace sam3trt {

/// --device N: the GPU that engines run on.
inline void add_device_option(CLI::App& command, int& device) {
  command.add_option("--device", device, "GPU that engines run on, counted from 0 (nvidia-smi)")
      ->check(CLI::Range(0, 1023))
      ->capture_default_str();
}

}  // namespace sam3trt
