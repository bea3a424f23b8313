#pragma once

#include <optional>
#include <string>

#include "compile/engine_build.hpp"
#include "onnx/graph_info.hpp"

namespace sam3trt {

/// Hash of all that decides what build_engine gives: the graph with its weights, the recipes of the
/// precision, the library, the GPU, kernels and program, shapes and settings of the compiler,
/// images of a calibration, and what the engine is verified with. `graph` is request.onnx, whose
/// hash the request holds or which is read for it. Throws as make_profiles and hash_graph do.
[[nodiscard]] std::string request_sha256_of(const TensorRtApi& api,
                                            const EngineBuildRequest& request,
                                            const GraphInfo& graph);

/// Whether the file of the engine is the one that the manifest describes. Throws
/// Error(kBadInput) when it cannot be read.
[[nodiscard]] bool has_plan_of(const EngineManifest& manifest, const std::filesystem::path& engine);

/// The engine at request.output, where its manifest proves that build_engine would give the like:
/// of the same request, with a plan that has the manifest's hash and passed its verification, and
/// with the calibration that lies beside the graph. Nothing otherwise; then `reason` says why,
/// unless there is no such file. Throws what request_sha256_of throws.
[[nodiscard]] std::optional<EngineBuildResult> find_up_to_date(const TensorRtApi& api,
                                                               const EngineBuildRequest& request,
                                                               std::string& reason);

}  // namespace sam3trt
