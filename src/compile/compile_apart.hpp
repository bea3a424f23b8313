#pragma once

#include <filesystem>
#include <memory>
#include <ostream>

#include "trt/api.hpp"

namespace sam3trt {

/// The library with a build() that runs in a process of its own: TensorRT 10.6 compiles one plan
/// at a time in a process, whatever number of threads ask for one, and a crash of its compiler ends
/// that process only. `program` runs run_compiler() when it is called with "compile-plan FILE".
/// build() writes the settings, the timing cache and the plan into a temporary folder beside the
/// graph. It throws what the process threw, and Error(kInternal) when that died. At most `most`
/// processes run at the same time; further calls wait for their turn.
[[nodiscard]] std::shared_ptr<TensorRtApi> compile_apart(std::shared_ptr<TensorRtApi> api,
                                                         std::filesystem::path program,
                                                         size_t most);

/// What that process does: builds the plan that the file describes. Writes JSON lines: progress,
/// and an error. Returns the exit code.
[[nodiscard]] int run_compiler(const std::filesystem::path& settings_file, std::ostream& out);

/// The same with a library that is there.
[[nodiscard]] int run_compiler(TensorRtApi& api, const std::filesystem::path& settings_file,
                               std::ostream& out);

}  // namespace sam3trt
