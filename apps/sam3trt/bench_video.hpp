#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sam3trt/model.hpp"

namespace sam3trt {

struct ModelFiles;

/// Kinds of prompts that a run may have: clicked objects, those of a text, a text beside clicked
/// objects, clicked ones that come and go.
inline const std::vector<std::string> kVideoPrompts = {"clicks", "text", "both", "changing"};

/// What `bench --video` is asked for.
struct VideoBench {
  std::string text;
  LoadOptions load;
  int64_t frames = 60;  ///< Of each run.
  std::vector<size_t> objects = {1, 5};
  std::vector<std::string> prompts = kVideoPrompts;  ///< A run of each for each number.
  bool live = false;                                 ///< TrackOptions::live
};

/// How long a frame of the drawn clip takes, from pixels in memory to run lengths on the host: with
/// clicked objects, with objects of the text (at most so many), with the text and clicked ones
/// beside each other, and with clicked ones of which one leaves and another comes every 25 frames.
/// Frames are timed from the 20th on, when memories are full; the first one by itself. Memory of
/// the process and of the GPU is given at up to 20 frames. Throws as VideoSession does.
[[nodiscard]] nlohmann::ordered_json bench_video(const ModelFiles& files, const VideoBench& bench);

/// The same as a table on standard output.
void print_video_bench(const nlohmann::ordered_json& result);

}  // namespace sam3trt
