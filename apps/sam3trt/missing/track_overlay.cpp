// In place of track_overlay.cpp in a build with SAM3TRT_OVERLAY=OFF.
#include "track_overlay.hpp"

#include "base/error.hpp"

namespace sam3trt {

TrackOverlay::TrackOverlay(std::filesystem::path target, bool /*forward*/, OutputCheck& /*check*/)
    : target_(std::move(target)) {
  if (target_.empty()) return;
  throw Error(ErrorCode::kUnavailable,
              "--overlay " + target_.string() +
                  ": this sam3trt was built without overlays (SAM3TRT_OVERLAY=OFF); use a build "
                  "that has them");
}

void TrackOverlay::begin(double /*fps*/, std::function<std::string(int64_t)> /*name_of*/) {}
void TrackOverlay::add(const FrameResult& /*result*/, const Image& /*image*/) {}
void TrackOverlay::finish() {}

}  // namespace sam3trt
