// In place of overlay_writer.cpp in a build with SAM3TRT_OVERLAY=OFF.
#include "overlay_writer.hpp"

#include "base/error.hpp"

namespace sam3trt {

OverlayWriter::OverlayWriter(std::filesystem::path target,
                             const std::vector<ListedImage>& /*images*/, OutputCheck& /*check*/)
    : target_(std::move(target)) {
  if (target_.empty()) return;
  throw Error(ErrorCode::kUnavailable,
              "--overlay " + target_.string() +
                  ": this sam3trt was built without overlays (SAM3TRT_OVERLAY=OFF); draw the "
                  "result with plot() of the Python package, or use a build that has them");
}

void OverlayWriter::write(const ListedImage& /*listed*/, const Image& /*image*/,
                          const ImageResult& /*result*/) const {}

}  // namespace sam3trt
