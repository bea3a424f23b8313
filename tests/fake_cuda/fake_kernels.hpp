#pragma once

#include <functional>
#include <map>
#include <string>

#include "cuda/kernels/thread.hpp"
#include "fake_stream.hpp"

namespace sam3trt::fake {

/// A launch.
struct Grid {
  unsigned x, y, z;
  unsigned shared_bytes;  ///< Asked for by the launch.
};

struct Kernel {
  std::function<Work(Grid, void*)> work;
  unsigned threads = kBlockThreads;      ///< Of a block.
  unsigned dynamic_shared = 48U << 10U;  ///< Most bytes that a launch may ask for.
};

/// Functions as kernels.cu and operators.cu name them.
std::map<std::string, Kernel>& kernels();

}  // namespace sam3trt::fake
