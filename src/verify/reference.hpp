#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "runtime/cpu_session.hpp"
#include "verify/recording_engine.hpp"

namespace sam3trt {

/// What the float32 graphs do with some pictures and prompts: the measure of every engine.
struct ReferenceRun {
  std::map<std::string, std::vector<RecordedCall>> calls;  ///< By component.
  std::vector<Image> images;
  std::vector<std::vector<Prompt>> prompts;  ///< Of each image.
  std::vector<ImageResult> results;          ///< Of each image, at the default thresholds.
};

/// What the engines that are to be verified take in one call; all at least 1.
struct ReferenceLimits {
  int64_t images = 1;
  int64_t prompts = 16;
  int64_t boxes = 8;         ///< Of one prompt.
  int64_t mask_prompts = 4;  ///< Prompts in one call of the mask head.
  int64_t masks = 16;        ///< Of one prompt.
  int64_t objects = 16;      ///< Of clicks and videos.

  [[nodiscard]] bool operator==(const ReferenceLimits&) const = default;
};

/// What is asked of every picture: each of `texts`, the first one with a box, and a positive and a
/// negative box (only the positive one when engines take a single box).
[[nodiscard]] std::vector<Prompt> default_prompts(const Image& image,
                                                  std::span<const std::string> texts,
                                                  const ReferenceLimits& limits);

/// Runs the exported graphs of `files` with float32 engines from `load` and keeps what went through
/// each of the five. Engines have one set of kernels for a prompt alone and one for several: every
/// part that takes prompts has calls of both kinds, within the limits. `progress` is told how many
/// images are done, and may throw. Memory: about 170 MB per image at the published size.
[[nodiscard]] ReferenceRun record_reference(const ModelFiles& files, const EngineLoader& load,
                                            std::vector<Image> images,
                                            std::span<const std::string> texts,
                                            const ReferenceLimits& limits,
                                            const std::function<void(int64_t done)>& progress = {});

}  // namespace sam3trt
