#pragma once

#include <map>
#include <string>

#include "base/output_check.hpp"
#include "runtime/model_files.hpp"
#include "sam3trt/model.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}  // namespace CLI

namespace sam3trt {

/// Which model a command is to run, as it was written.
struct ModelChoice {
  std::string model;           ///< A folder; empty: the two files.
  std::string encoder_engine;  ///< With the next one in place of the folder.
  std::string detector_engine;
  std::string backend = "auto";  ///< "auto", "tensorrt" or "openvino"
  std::string semantics;         ///< "hf", "meta" or empty: whichever it has.
};

/// Adds --backend, --threads, --semantics and --allow-unverified.
void add_running_options(CLI::App& command, ModelChoice& choice, LoadOptions& load);

/// Its files. Throws Error(kBadInput) when there is none, or one of another backend or other
/// semantics.
[[nodiscard]] ModelFiles find_model(const ModelChoice& choice);

/// The files that the model is loaded from are inputs of the run.
void add_model_inputs(OutputCheck& check, const ModelFiles& files);

/// Components that run only because the user allows it, each with the state of its verification;
/// says so.
[[nodiscard]] std::map<std::string, std::string> find_unverified(const ModelFiles& files);

}  // namespace sam3trt
