#pragma once

#include <string>
#include <vector>

#include "model_choice.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/video.hpp"
#include "tracks/track_loop.hpp"

namespace sam3trt {

/// What `sam3trt track` is asked for, as it was written.
struct TrackCommandOptions {
  ModelChoice model;
  LoadOptions load;
  std::string video;
  std::vector<std::string> texts;
  std::vector<std::string> boxes;
  std::vector<std::string> negative_boxes;
  std::vector<std::string> points;
  std::vector<std::string> negative_points;
  std::vector<std::string> object_boxes;
  std::vector<std::string> object_masks;
  std::string prompts;
  std::string direction = "forward";
  int64_t hot_start = -1;  ///< -1: the model's.
  bool live = false;
  std::string det_nms;      ///< Empty: the model's.
  int64_t fill_holes = -1;  ///< -1: the model's.
  int64_t max_objects = 0;  ///< 0: the model's.
  double fps = 0;           ///< 0: the video's.
  std::string output;
  std::string overlay;
  std::vector<std::string> exports;
};

/// What is to be followed. Throws Error(kBadInput) when that is nothing, or cannot be.
[[nodiscard]] TrackPlan make_track_plan(const TrackCommandOptions& options);

/// How, for a video of so many frames.
[[nodiscard]] TrackOptions make_track_options(const TrackCommandOptions& options,
                                              std::optional<int64_t> frames);

}  // namespace sam3trt
