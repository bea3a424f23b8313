#pragma once

#include "checkpoint/config.hpp"
#include "checkpoint/json_fields.hpp"

namespace sam3trt {

/// Reads the tracker of a config.json of type "sam3_video" (`video` is its top) into
/// `config.tracker` and `config.tracker_sizes`; vision and width must be there already. Notes a
/// problem for what no graph of this project expresses.
void read_tracker(const JsonFields& video, Sam3Config& config);

}  // namespace sam3trt
