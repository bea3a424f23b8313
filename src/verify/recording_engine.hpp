#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "verify/engine_wrapper.hpp"

namespace sam3trt {

/// One call of an engine.
struct RecordedCall {
  std::map<std::string, Tensor> inputs;
  std::map<std::string, Tensor> outputs;
};

/// Calls of equal shapes as one, joined at the first axis of every tensor. Throws Error(kInternal)
/// for calls that do not fit together.
[[nodiscard]] RecordedCall stack_calls(std::span<const RecordedCall> calls);

/// Keeps what goes through another engine, so that the same inputs can be given to the engine that
/// is to be verified: every stage is then judged by its own error alone.
class RecordingEngine : public EngineWrapper {
 public:
  /// Appends to `calls`, which must outlive the engine.
  RecordingEngine(std::unique_ptr<Engine> engine, std::vector<RecordedCall>& calls)
      : EngineWrapper(std::move(engine)), calls_(calls) {}

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override;

 private:
  std::vector<RecordedCall>& calls_;
};

}  // namespace sam3trt
