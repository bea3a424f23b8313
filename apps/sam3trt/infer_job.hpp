#pragma once

#include <span>
#include <vector>

#include "context.hpp"
#include "infer_options.hpp"
#include "infer_prompts.hpp"
#include "jobs/job_output.hpp"
#include "overlay_writer.hpp"
#include "runtime/model_files.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// What a run of `infer` works on, everything checked as far as it can be before a model is loaded.
struct InferJob {
  const InferOptions& options;
  const ModelFiles& files;
  RunHeader header;
  const InferPrompts& prompts;
  std::vector<ListedImage> images;  ///< That have no result yet.
  JobOutput& output;
  const OverlayWriter& overlays;
  bool summary = false;   ///< What was found in each image goes to standard output.
  bool document = false;  ///< The JSON document goes there besides the file.
};

/// Runs the job in a process of its own (worker_process.hpp). Errors of single
/// images are reported and set the exit code.
void run_infer_job(InferJob& job, CommandContext& context);

}  // namespace sam3trt
