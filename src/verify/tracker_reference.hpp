#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/cpu_session.hpp"
#include "verify/recording_engine.hpp"
#include "verify/reference.hpp"

namespace sam3trt {

/// Calls of the components of clicks and videos that `files` has, by component, as float32 engines
/// from `load` give them. `vision` are calls of the vision encoder with one image each, whose
/// `vision_features` everything begins with: a click on each image, then, within the limits,
/// several objects together (clicks, a box, a mask), masks made to memories, and the images as
/// frames that are remembered. Engines have one set of kernels for an object alone and one for
/// several: there are calls of both kinds. Throws Error(kBadInput) when the vision encoder does not
/// give them.
[[nodiscard]] std::map<std::string, std::vector<RecordedCall>> record_tracker(
    const ModelFiles& files, const EngineLoader& load, std::span<const RecordedCall> vision,
    const ReferenceLimits& limits);

}  // namespace sam3trt
