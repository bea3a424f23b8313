#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/config.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// Where one internal tensor comes from.
struct PlannedTensor {
  std::string name;
  Shape shape;
  size_t source = 0;   ///< Index into the file's tensors.
  int64_t offset = 0;  ///< Element of the source at which it starts; its elements are contiguous.
};

/// Where every internal tensor comes from, and what is deliberately not read.
struct TensorPlan {
  std::vector<PlannedTensor> tensors;
  std::vector<size_t> unused;  ///< Indices of tensors that nothing reads.
};

/// Who named these tensors; throws Error(kBadInput) that says what they seem to be when they belong
/// to no SAM 3 model, or cannot be exported as they are (other_models.hpp).
[[nodiscard]] Naming detect_naming(std::span<const StoredTensor> tensors, const std::string& where);

/// Matches a file's tensors (their bytes are not touched) with those that `config` needs, whatever
/// training wrapped around their names (wrapped_names.hpp). Throws Error(kBadInput) that counts the
/// missing, unknown, wrong-shaped and wrong-typed tensors and lists the first ten of each kind,
/// fewer of many kinds. `where` starts the message.
[[nodiscard]] TensorPlan plan_tensors(std::span<const StoredTensor> tensors, Naming naming,
                                      const Sam3Config& config, const std::string& where);

/// Throws Error(kBadInput) when none of the names (those of unwrap_names) is of the mask head, as
/// in checkpoints of models that were fine-tuned without it.
void refuse_without_mask_head(std::span<const std::string> names, Naming naming,
                              const std::string& where);

}  // namespace sam3trt
