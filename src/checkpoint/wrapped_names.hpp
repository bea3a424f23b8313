#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/names.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// Who named a model that has this tensor, told from the part of the name that every SAM 3 image
/// model has, whatever stands before it; nothing for a tensor of any other part or model.
[[nodiscard]] std::optional<Naming> naming_of(std::string_view name);

/// Whether a word of a name or key ("ema_model", "teacher") says that it is an averaged copy of the
/// weights that were trained.
[[nodiscard]] bool is_averaged_copy(std::string_view words);

/// Whether a word of a name or key ("optimizer", "exp_avg") says that it belongs to an optimizer.
[[nodiscard]] bool is_optimizer_state(std::string_view words);

/// The tensors' names without what training wrapped around the model: any components before the
/// image model's own ("module.", "model.detector."), and those that torch.compile, FSDP, DDP and
/// activation checkpointing put anywhere ("_orig_mod", "_fsdp_wrapped_module", "module",
/// "_checkpoint_wrapped_module").
struct ModelNames {
  std::string prefix;              ///< What stood before the model's names; may be empty.
  std::vector<std::string> names;  ///< One per tensor.
  /// Per tensor, whether it belongs to a further copy of the model, which is not read. Where there
  /// are several, the one that was trained is taken before averaged copies, then the one with the
  /// shortest prefix.
  std::vector<bool> other_copy;
  std::vector<std::string> other_prefixes;  ///< Of the copies that are not read.
};

[[nodiscard]] ModelNames unwrap_names(std::span<const StoredTensor> tensors, Naming naming);

}  // namespace sam3trt
