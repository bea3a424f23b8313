#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "compile/engine_build.hpp"
#include "runtime/model_files.hpp"
#include "verify/verification.hpp"

namespace sam3trt {

/// One engine of a model: how it is built, and what came out.
struct ModelPart {
  EngineBuildRequest request;
  EngineBuildResult result;
};

/// Holds a whole model against the reference; empty when its results are the same.
using CheckModel = std::function<std::string()>;

/// What came of the check of all engines together.
struct EndToEnd {
  /// "none": there was none, for the reason in `text`. "passed", "nothing compared" (no instance on
  /// either side) and "undecidable": the engines may be used together.
  std::string verdict = "none";
  std::string text;
  bool up_to_date = false;  ///< An earlier build checked the same engines with the same.
};

/// Builds one part again.
using BuildPart = std::function<EngineBuildResult(const EngineBuildRequest& request)>;

/// What repair_model needs.
struct ModelRepair {
  CheckModel check;  ///< The engines built so far.
  /// The reference itself with its weights rounded as in the engines: a checkpoint for which that
  /// alone changes the results cannot be judged by them. Takes minutes, asked at most once.
  CheckModel check_rounded_reference;
  BuildPart build;
  std::function<void(const std::string& message)> report;  ///< Told what was wrong each time.
};

enum class ModelVerdict { kPassed, kUndecidable };

/// Engines that pass one by one may still give other results together. While `check` finds that,
/// the part that deviates most from its stage's reference is built again with its next safer
/// recipe; a part without one is left as it is. When no part has one left, or after a few repairs,
/// all manifests say that the verification failed and Error(kVerificationFailed) is thrown. A
/// checkpoint that rounding alone gives other results is left as it is: only its stages count.
ModelVerdict repair_model(std::vector<ModelPart>& parts, const ModelRepair& repair);

/// repair_model with the report of `check` in place of a text, for the model in `files`, whose
/// engines all passed by themselves and of which `parts` may be some. Then, and not before, all
/// manifests say that they passed together.
/// `request_sha256` tells what the check is given from others.
[[nodiscard]] EndToEnd verify_set(const ModelFiles& files, std::vector<ModelPart>& parts,
                                  const std::function<ResultReport()>& check, ModelRepair repair,
                                  const std::string& request_sha256);

/// What came of the check of exactly these engines, where it passed and was given the same; nothing
/// otherwise, and where a part was built anew.
[[nodiscard]] std::optional<EndToEnd> find_checked_set(const ModelFiles& files,
                                                       const std::vector<ModelPart>& parts,
                                                       const std::string& request_sha256);

}  // namespace sam3trt
