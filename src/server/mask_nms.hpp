#pragma once

#include "sam3trt/result.hpp"

namespace sam3trt {

/// Removes instances, of whichever prompt, whose mask has an IoU above `threshold` with that of one
/// that has a higher score and stays; of equal scores the first one stays.
void suppress_overlaps(ImageResult& result, double threshold);

}  // namespace sam3trt
