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

  /// Hugging Face's tensor where this one is a part of it; empty: `name` and `shape` are its own.
  std::string hf_name{};
  Shape hf_shape{};
  int64_t hf_offset = 0;
};

/// Every tensor that the graphs of `config` need, in a fixed order; those of the tracker last.
[[nodiscard]] std::vector<NamedTensor> needed_tensors(const Sam3Config& config);

/// Adds those of the tracker (tracker_names.cpp).
void add_tracker_tensors(const Sam3Config& config, std::vector<NamedTensor>& list);

/// Whether the names, without what stands before the model's own, are those of a model with a
/// tracker: its weights and its neck. One without the other is of no use.
[[nodiscard]] bool has_tracker(std::span<const std::string> names, Naming naming);

/// Whether they are those of SAM 3.1, whose clicks are SAM 3's and whose tracker is another one.
[[nodiscard]] bool is_multiplex(std::span<const std::string> names);

/// Why a tensor of that name may be in a checkpoint though nothing reads it; empty for any other
/// name. `name` is without what stands before the model's own names (wrapped_names.hpp). With
/// `tracker` the tracker's tensors are read, too.
[[nodiscard]] std::string_view unused_reason(Naming naming, std::string_view name,
                                             bool tracker = false);

/// Whether there is such a reason.
[[nodiscard]] bool is_unused_tensor(Naming naming, std::string_view name, bool tracker = false);

}  // namespace sam3trt
