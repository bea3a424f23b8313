#pragma once

#include <cstdint>
#include <string>

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

[[nodiscard]] CpuFacts probe_cpu();

/// "25.1 GB".
[[nodiscard]] std::string in_gigabytes(uint64_t bytes);

}  // namespace sam3trt
