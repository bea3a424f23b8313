#include "sam3trt/version.hpp"

namespace sam3trt {

const char* version() noexcept { return SAM3TRT_VERSION; }

}  // namespace sam3trt
