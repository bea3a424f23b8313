#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "onnx/graph_info.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// The largest sizes that an engine is built for (the symbols of docs/graphs.md), and those that
/// its kernels are chosen for. All at least 1.
struct EngineLimits {
  int64_t images = 1;        ///< B: images in one call.
  int64_t prompts = 16;      ///< P: prompts in one call.
  int64_t boxes = 8;         ///< K: exemplar boxes of a prompt.
  int64_t masks = 0;         ///< M: masks of a prompt in one call; 0: as many as there are queries.
  int64_t tuned_images = 1;  ///< At most `images`.
  int64_t tuned_prompts = 1;  ///< At most `prompts`.
};

/// Shapes for every input with dynamic dimensions: from 1 of everything up to `limits`, tuned
/// for one box, 16 masks and as many images and prompts as they say. Throws Error(kBadInput) for a
/// dimension whose name is none of docs/graphs.md.
[[nodiscard]] std::map<std::string, ProfileShape> make_profile(const GraphInfo& graph,
                                                               const EngineLimits& limits);

/// The same for a graph of another program: a dynamic first axis counts images. Throws
/// Error(kBadInput) that names any other dynamic axis.
[[nodiscard]] std::map<std::string, ProfileShape> make_foreign_profile(const GraphInfo& graph,
                                                                       const EngineLimits& limits);

}  // namespace sam3trt
