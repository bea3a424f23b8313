#pragma once

#include <string>
#include <vector>

#include "model_choice.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/request.hpp"

namespace sam3trt {

/// What `sam3trt infer` is asked for, as it was written.
struct InferOptions {
  ModelChoice model;
  LoadOptions load;
  std::string devices = "0";
  std::vector<std::string> images;
  std::string images_from;
  std::string shard;
  std::vector<std::string> texts;
  std::vector<std::string> boxes;
  std::vector<std::string> negative_boxes;
  std::vector<std::string> points;
  std::vector<std::string> negative_points;
  std::string object_box;
  std::string object_mask;
  std::string prompts;  ///< File of prompts.
  bool multimask = false;
  bool everything = false;
  EverythingOptions grid;
  Thresholds thresholds;
  std::string output;
  std::string format;
  bool resume = false;
  std::string overlay;
  size_t batch = 0;       ///< 0: as many as the model takes.
  size_t io_threads = 0;  ///< 0: by the processors.
};

}  // namespace sam3trt
