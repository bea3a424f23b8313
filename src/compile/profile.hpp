#pragma once

#include <cstdint>
#include <vector>

#include "onnx/graph_info.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// The largest sizes that an engine is built for (the symbols of docs/graphs.md), and those that
/// its kernels for several are chosen for. All at least 1 where nothing else is said.
struct EngineLimits {
  int64_t images = 1;        ///< B: images in one call.
  int64_t prompts = 16;      ///< P: prompts in one call.
  int64_t boxes = 8;         ///< K: exemplar boxes of a prompt.
  int64_t masks = 0;         ///< M: masks of a prompt in one call; 0: as many as there are queries.
  int64_t tuned_images = 0;  ///< At most `images`; 0: as many as these.
  int64_t tuned_prompts = 0;  ///< At most `prompts`; 0: as many as these.
  int64_t objects = 16;       ///< O: objects in one call of the tracker's components.
  int64_t tuned_objects = 0;  ///< At most `objects`; 0: as many as these.
  int64_t points = 32;     ///< A: points of an object, box corners and padding counted; at least 4.
  int64_t pointers = 256;  ///< W: pointers of an object; at least 4; an object may have none.
};

/// R: prompts whose masks one call of the mask head gives.
[[nodiscard]] int64_t mask_prompts(const EngineLimits& limits);

/// Profiles of a graph whose inputs count images, prompts or objects: one for exactly one of each,
/// and one for as many as `limits` say, tuned for as many as they say; where they say 1, a single
/// one. Both are tuned for one box, 16 masks, two points and a full memory; remembered frames (F)
/// are at most as many as the model's configuration says, and memory attention is tuned for at most
/// 4 objects, which fill a GPU. Kernels and memory for many would make one alone slow and wasteful.
/// Vision encoder, tracker neck and text encoder have a single profile, because a second one would
/// keep large weights twice; the last, whose activations are small, is tuned for one where nothing
/// else is asked for. Throws Error(kBadInput) for a dimension whose name is none of docs/graphs.md.
[[nodiscard]] std::vector<Profile> make_profiles(const GraphInfo& graph,
                                                 const EngineLimits& limits);

/// The same for a graph of another program: a dynamic first axis counts images. Throws
/// Error(kBadInput) that names any other dynamic axis.
[[nodiscard]] std::vector<Profile> make_foreign_profiles(const GraphInfo& graph,
                                                         const EngineLimits& limits);

}  // namespace sam3trt
