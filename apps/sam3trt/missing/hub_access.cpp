// In place of hub_access.cpp in a build with SAM3TRT_HUB=OFF.
#include "hub_access.hpp"

#include "base/error.hpp"

namespace sam3trt {

std::vector<std::byte> fetch_from_web(const std::string& url) {
  throw Error(ErrorCode::kUnavailable, url +
                                           ": this sam3trt was built without downloading; fetch "
                                           "the file yourself and name its folder with --images");
}

std::optional<Finding> check_hub_token() { return std::nullopt; }

}  // namespace sam3trt
