#include "machine.hpp"

#include <fstream>
#include <sstream>
#include <thread>

namespace sam3trt {
namespace {

std::string after_colon(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
  return begin == std::string::npos ? "" : line.substr(begin);
}

uint64_t kilobytes_after_colon(const std::string& line) {
  uint64_t kilobytes = 0;
  std::istringstream(after_colon(line)) >> kilobytes;
  return kilobytes * 1024;
}

}  // namespace

std::string in_gigabytes(uint64_t bytes) {
  constexpr uint64_t kTenth = 100 * 1000 * 1000;
  const uint64_t tenths = bytes / kTenth;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GB";
}

CpuFacts probe_cpu() {
  CpuFacts facts;
  facts.threads = std::thread::hardware_concurrency();
  std::ifstream cpu("/proc/cpuinfo");
  for (std::string line; std::getline(cpu, line) && !line.empty();) {  // the first processor's
    if (line.starts_with("model name")) facts.name = after_colon(line);
    if (!line.starts_with("flags")) continue;
    const std::string flags = line + " ";
    facts.has_avx2 = flags.find(" avx2 ") != std::string::npos;
    facts.has_avx512 = flags.find(" avx512f ") != std::string::npos;
  }
  std::ifstream memory("/proc/meminfo");
  for (std::string line; std::getline(memory, line);) {
    if (line.starts_with("MemTotal:")) facts.memory_bytes = kilobytes_after_colon(line);
    if (line.starts_with("MemAvailable:")) facts.available_bytes = kilobytes_after_colon(line);
  }
  return facts;
}

}  // namespace sam3trt
