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

/// Whether a tensor of that name may be in a checkpoint though nothing reads it. `name` is as the
/// file spells it, for kHuggingFace without "detector_model.", for kMeta without "detector.".
[[nodiscard]] bool is_unused_tensor(Naming naming, std::string_view name);

}  // namespace sam3trt
