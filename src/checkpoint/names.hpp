#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"
#include "checkpoint/config.hpp"

namespace sam3trt {

/// Who named a checkpoint's tensors.
enum class Naming { kHuggingFace, kMeta };

/// One tensor of the internal list and where each naming keeps it.
struct NamedTensor {
  std::string name;  ///< Internal name, the one of Hugging Face's Sam3Model.
  Shape shape;

  std::string meta_name;    ///< Meta's name, without the leading "detector.".
  Shape meta_shape;         ///< Shape of Meta's whole tensor.
  int64_t meta_offset = 0;  ///< Element of Meta's tensor at which this one starts.
};

/// Every tensor that the graphs of `config` need, in a fixed order.
[[nodiscard]] std::vector<NamedTensor> needed_tensors(const Sam3Config& config);

/// Why a tensor of that name may be in a checkpoint though nothing reads it; empty for any other
/// name. `name` is without what stands before the model's own names (wrapped_names.hpp).
[[nodiscard]] std::string_view unused_reason(Naming naming, std::string_view name);

/// Whether there is such a reason.
[[nodiscard]] bool is_unused_tensor(Naming naming, std::string_view name);

}  // namespace sam3trt
