#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/model.hpp"
#include "sam3trt/prompt.hpp"

namespace sam3trt {

struct ModelFiles;

/// What `bench --files` is asked for.
struct FilesBench {
  std::vector<std::string> files;  ///< As `infer --image` takes them.
  std::vector<Prompt> prompts;
  Thresholds thresholds;
  LoadOptions load;
  std::vector<int> devices = {0};
  size_t batch = 0;       ///< 0: as many as the model takes.
  size_t io_threads = 0;  ///< 0: by the processors.
  size_t rounds = 3;
};

/// How many images go through a model in a second with the pipeline of `infer`, by where they come
/// from: pixels in memory, files, and files with overlays written to a temporary folder. The three
/// take turns, `rounds` times, after one turn that is not counted. Throws Error(kBadInput) for a
/// file that is not an image.
[[nodiscard]] nlohmann::ordered_json bench_files(const ModelFiles& files, const FilesBench& bench);

/// The same as a table on standard output.
void print_files_bench(const nlohmann::ordered_json& result);

}  // namespace sam3trt
