#pragma once

#include <list>
#include <memory>
#include <utility>

#include "verify/recording_engine.hpp"

namespace sam3trt {

/// Answers a call that is one of the last few once more, byte by byte, with what it gave then. For
/// graphs that see only the image and the prompt, which come back in the drawn clip.
class RepeatedCalls : public EngineWrapper {
 public:
  /// `most` calls are kept, at least 1, with all their tensors.
  RepeatedCalls(std::unique_ptr<Engine> engine, size_t most)
      : EngineWrapper(std::move(engine)), most_(most) {}

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override;

 private:
  size_t most_;
  std::list<RecordedCall> calls_;  ///< The last one first.
};

}  // namespace sam3trt
