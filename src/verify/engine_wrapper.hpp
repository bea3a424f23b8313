#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "base/engine.hpp"

namespace sam3trt {

/// Does something beside the calls of another engine, whose inputs and outputs it has.
class EngineWrapper : public Engine {
 public:
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return engine_->inputs(); }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override {
    return engine_->outputs();
  }

 protected:
  explicit EngineWrapper(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  [[nodiscard]] Engine& engine() const { return *engine_; }

 private:
  std::unique_ptr<Engine> engine_;
};

}  // namespace sam3trt
