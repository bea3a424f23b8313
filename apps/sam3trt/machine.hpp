#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// The processor and its memory, from /proc.
struct CpuFacts {
  std::string name;
  unsigned threads = 0;
  bool has_avx2 = false;
  bool has_avx512 = false;
  uint64_t memory_bytes = 0;
  uint64_t available_bytes = 0;
};

struct GpuDevice {
  std::string name;
  std::string compute_capability;  ///< "9.0"
  uint64_t memory_bytes = 0;
};

/// NVIDIA's driver and devices; without a driver or a device, `problem` says why.
struct GpuFacts {
  std::string cuda_version;  ///< Newest CUDA that the driver supports: "13.0".
  std::vector<GpuDevice> devices;
  std::string problem;
};

/// TensorRT's runtime library; `version` is empty when there is none.
struct TensorRtFacts {
  std::string library;
  std::string version;
};

[[nodiscard]] CpuFacts probe_cpu();

/// Loads the driver's library at run time, so that nothing is needed where there is none.
[[nodiscard]] GpuFacts probe_gpu();

/// Loads libnvinfer.so.11 or libnvinfer.so.10, whichever is there.
[[nodiscard]] TensorRtFacts probe_tensorrt();

}  // namespace sam3trt
