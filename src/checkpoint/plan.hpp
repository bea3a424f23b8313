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

/// Who named these tensors; throws Error(kBadInput) when they belong to no SAM 3 model.
[[nodiscard]] Naming detect_naming(std::span<const StoredTensor> tensors, const std::string& where);

/// Matches a file's tensors (their bytes are not touched) with those that `config` needs. Throws
/// Error(kBadInput) that lists all missing, unknown, wrong-shaped and wrong-typed tensors (at most
/// 40 of a kind). `where` starts the message.
[[nodiscard]] TensorPlan plan_tensors(std::span<const StoredTensor> tensors, Naming naming,
                                      const Sam3Config& config, const std::string& where);

/// What a file that also holds the tracker puts before the names of the detector's tensors
/// ("detector_model." or "detector."); empty when no tensor has it.
[[nodiscard]] std::string_view detector_prefix(std::span<const StoredTensor> tensors,
                                               Naming naming);

/// The tensors' names without that prefix.
[[nodiscard]] std::vector<std::string> detector_names(std::span<const StoredTensor> tensors,
                                                      Naming naming);

}  // namespace sam3trt
