#pragma once

#include <string>
#include <vector>

namespace sam3trt {

/// One line of doctor's report.
struct Finding {
  std::string name;
  bool ok = false;
  std::string detail;
  std::string fix;  ///< What to do, when it is missing.
};

/// What this machine can do with engines, and what was looked at to know it.
struct EngineSupport {
  std::vector<Finding> findings;
  bool builds = false;      ///< Engines of TensorRT 10 or 11.
  bool runs = false;        ///< The same.
  bool builds_rtx = false;  ///< Engines of TensorRT-RTX, which needs no GPU.
  std::string library;      ///< "TensorRT 10 10.6.0" where it builds or runs.
  std::string reason;       ///< The first thing that is missing, where it does not do both.
};

/// Looks for GPU, driver and libraries, then builds an engine of one node and runs it: that takes
/// some seconds.
[[nodiscard]] EngineSupport probe_engine_support();

/// A sentence: "builds and runs engines with TensorRT 10 10.6.0", or what it does not do and why.
[[nodiscard]] std::string describe(const EngineSupport& support);

}  // namespace sam3trt
