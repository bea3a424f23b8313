#pragma once

#include <string>
#include <vector>

#include "precision/recipe.hpp"
#include "segmenter/engines.hpp"
#include "verify/verifier.hpp"

namespace sam3trt {

/// What verify_model compares.
struct VerifyRequest {
  ModelFiles model;                            ///< Engines, or typed graphs.
  ModelFiles reference;                        ///< The exported graphs of the same checkpoint.
  VerifierOptions verifier;                    ///< `limits` are lowered to those of the engines.
  RecipeBook recipes = RecipeBook::builtin();  ///< That the model was built with.
};

struct VerifyOutcome {
  bool passed = false;
  /// Rounding the weights alone changes the reference's results, so that only the stages count.
  bool undecidable = false;
  bool marked = false;  ///< The engines' manifests say that they passed together since this call.
  Precision precision = Precision::kFp32;
  std::string backend;                ///< "tensorrt" or "openvino"
  std::vector<OutputReport> outputs;  ///< Stage by stage.
  ResultReport result;                ///< End to end.
};

/// The report of `sam3trt verify --json`.
[[nodiscard]] std::string to_json(const VerifyOutcome& outcome);

/// The precision that the manifest or the metadata of the model names; exported graphs are float32.
[[nodiscard]] Precision precision_of(const ModelFiles& files);

/// What the engines of a model take in one call; the defaults for graphs.
[[nodiscard]] ReferenceLimits reference_limits(const ModelFiles& files);

/// Holds a model against the float32 graphs, stage by stage and end to end. Engines that pass and
/// did not yet do so as a set are marked (docs/verification.md), so that `infer` takes them;
/// nothing else is written beside them. Throws Error(kBadInput) when the reference is another
/// checkpoint, what loading throws, and StoppedError.
[[nodiscard]] VerifyOutcome verify_model(const VerifyRequest& request);

/// Writes into the manifests of all engines of the model that they passed together; `end_to_end` is
/// "passed", "undecidable" or "nothing compared", `request_sha256` what tells the check from
/// others, where that is known.
void mark_as_set(const ModelFiles& engines, const std::string& end_to_end,
                 const std::string& request_sha256 = {});

}  // namespace sam3trt
