#pragma once

#include "context.hpp"
#include "runtime/model_files.hpp"
#include "runtime/result.hpp"
#include "track_options.hpp"
#include "track_overlay.hpp"
#include "tracks/track_output.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {

/// What a run of `track` works on, everything checked as far as it can be before a model is loaded.
struct TrackJob {
  const TrackCommandOptions& options;
  const ModelFiles& files;
  RunHeader header;
  const TrackPlan& plan;
  TrackOutput& output;
  TrackOverlay& overlay;
};

/// Tracks the video in this process: what a frame gives depends on all before it, so that another
/// process could not go on after a crash. `source` gives the frames of the first pass. Frames that
/// cannot be read are reported and set the exit code.
void run_track_job(const TrackJob& job, std::unique_ptr<FrameSource> source,
                   CommandContext& context);

}  // namespace sam3trt
