#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/temporary.hpp"
#include "sam3trt/video.hpp"

namespace sam3trt {

/// A folder of palette PNGs as DAVIS has them, one for each frame: the byte of a pixel is the id of
/// its object, 0 where there is none; where masks overlap, the object with the higher object_score
/// has the pixel. Ids above 255, which a byte cannot hold, and 0 are left out, and warned of once.
class DavisFolder {
 public:
  /// Makes the folder where it is missing. Throws Error(kBadInput), beginning with `what`.
  DavisFolder(std::filesystem::path folder, const std::string& what);

  /// Writes NAME.png; throws as AtomicFile does.
  void add(const FrameResult& frame, const std::string& name);

 private:
  std::filesystem::path folder_;
  ResultFolder made_;
  bool warned_ = false;
};

}  // namespace sam3trt
