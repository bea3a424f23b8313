#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

namespace sam3trt {

/// --track-frames of commands that verify models.
inline CLI::Option* add_track_frames_option(CLI::App& command, int64_t& frames) {
  return command
      .add_option("--track-frames", frames,
                  "Frames of a drawn clip that a model with a tracker is verified on; 0: none")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
}

}  // namespace sam3trt
