#pragma once

#include <cstdint>

#include "base/host_device.hpp"

namespace sam3trt {

/// Threads of a block, of every kernel here; blocks are one-dimensional.
inline constexpr unsigned kBlockThreads = 256;

/// Which thread of a launch a kernel's body runs as. Bodies take it as an argument, so that they
/// run on a CPU, too.
struct KernelThread {
  unsigned thread = 0;  ///< Within its block.
  unsigned block_x = 0;
  unsigned block_y = 0;
  unsigned block_z = 0;
  unsigned blocks_y = 1;  ///< Blocks of the launch in y; bodies go through rows in steps of it.

  [[nodiscard]] SAM3TRT_HOST_DEVICE int64_t x() const {
    return static_cast<int64_t>(block_x) * kBlockThreads + thread;
  }
};

/// An index that a graph gives; one outside 0 .. count - 1 counts as 0.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline int64_t index_or_first(int64_t index, int64_t count) {
  return index < 0 || index >= count ? 0 : index;
}

}  // namespace sam3trt
