#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "precision/recipe.hpp"

namespace sam3trt {

/// What an engine of one precision may differ by (docs/verification.md).
struct GateLimits {
  /// Largest deviation of an output, by the tensor's name or "*" for all others.
  std::map<std::string, double> deviation;
  /// A deviation passes too when it is at most so many times the yardstick's.
  double yardstick_factor = 1;
  double mask_iou = 1;     ///< Of the instances that both runs find.
  double score_error = 0;  ///< Of presence and scores.
  double box_error_pixels = 0;
  double borderline_score = 0;  ///< Instances this close to the threshold may come and go.
};

/// What the gate says of one output.
enum class OutputVerdict { kPassed, kFailed, kUndecidable };

/// "passed", "failed", "undecidable".
[[nodiscard]] std::string_view name_of(OutputVerdict verdict);

/// The numbers that decide whether an engine is right.
class Gate {
 public:
  /// The gate inside the program (configs/verify/gate.json).
  static Gate builtin();

  /// A gate of the user's own. Throws Error(kBadInput) with everything that is wrong in it.
  static Gate load(const std::filesystem::path& path);
  static Gate parse(std::string_view text, const std::string& where);

  [[nodiscard]] const GateLimits& limits(Precision precision) const;

  /// Of all numbers; tells gates apart.
  [[nodiscard]] std::string sha256() const;

  /// The rule. `yardstick` is the deviation of the reference itself when only its weights are
  /// rounded to the precision: where that alone changes an output much, the checkpoint is too
  /// sensitive for any engine of that precision to be judged by it.
  [[nodiscard]] OutputVerdict judge(Precision precision, const std::string& output,
                                    double deviation, std::optional<double> yardstick) const;

 private:
  std::map<Precision, GateLimits> limits_;
  double undecidable_yardstick_ = 0;
};

}  // namespace sam3trt
