#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/cpu_session.hpp"

namespace sam3trt {

/// The graphs of a model whose every output follows from every bit of the inputs that it may depend
/// on: a wrong bit anywhere changes the result. What stands in rows of other prompts and images and
/// in masked places changes nothing, so results do not depend on what comes together. Quick: sizes
/// are just large enough to tell the axes apart.
class FakeGraphs {
 public:
  /// Files, sizes and semantics; the tokenizer is that of tests/data/text.
  [[nodiscard]] static ModelConfig config();
  [[nodiscard]] static Tokenizer tokenizer();

  /// Engines of one session. They share what set_damage says and may outlive this object.
  [[nodiscard]] SessionEngines engines() const;

  /// The same with the components of clicks and videos.
  [[nodiscard]] SessionEngines all_engines() const;

  /// Changes what a graph gives, after the fact; called with inputs and outputs.
  using Damage = std::function<void(const TensorMap&, std::map<std::string, Tensor>&)>;
  void set_damage(const std::string& graph, Damage damage) {
    (*damage_)[graph] = std::move(damage);
  }

 private:
  std::shared_ptr<std::map<std::string, Damage>> damage_ =
      std::make_shared<std::map<std::string, Damage>>();
};

}  // namespace sam3trt
