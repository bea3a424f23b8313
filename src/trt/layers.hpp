#pragma once

#include <cstdint>
#include <string_view>

namespace sam3trt {

/// Attentions that TensorRT runs as one fused kernel, by the names of the layers in
/// LoadedPlan::layers_json ("_gemm_mha_v2", "fmha", this program's own "rotary_mha", "plain_mha"
/// and "grid_mha"): in the profile that has the fewest, where names tell profiles apart, else on
/// average. 0 for text that is no list of layers.
[[nodiscard]] int64_t count_fused_attentions(std::string_view layers_json);

}  // namespace sam3trt
