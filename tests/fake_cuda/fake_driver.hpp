#pragma once

#include "cuda/driver.hpp"

namespace sam3trt {

/// The fake driver of tests/fake_cuda; one for all tests, as the real one is.
inline const CudaDriver& fake_driver() {
  static const CudaDriver driver(SAM3TRT_FAKE_CUDA);
  return driver;
}

}  // namespace sam3trt
