#pragma once

#include <onnx/onnx-ml.pb.h>

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "precision/calibration.hpp"
#include "precision/operators.hpp"
#include "precision/precision.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {

/// One form in which the typed graph needs a float32 weight.
struct WeightUse {
  const onnx::TensorProto* source = nullptr;
  std::string name;  ///< In the typed graph.
  DType type = DType::kF32;
  /// Quantised: FP8 data as `name`, and one scale of `type` per column as `name`_scale.
  bool fp8 = false;
  std::string node;  ///< The first node that needs it, for messages.
  /// Of an operator of cuBLASLt: the tensor of its scales, which of its products this is a factor
  /// of, and the scale of the other factor. Its data are transposed, with one scale.
  std::string scales{};
  size_t product = 0;
  float input_scale = 0;
};

/// ONNX element type of kF32, kF16 or kBF16.
[[nodiscard]] int element_type(DType dtype);

/// The precision pass on a graph without its weights: walks the nodes in order, decides the type of
/// each, and adds the casts and the FP8 quantisers. Throws Error(kBadInput) as write_typed_graph.
class GraphTyper {
 public:
  /// The references must outlive the typer. `where` names the graph in errors.
  GraphTyper(const onnx::GraphProto& source, std::string component, const Recipe& recipe,
             const Calibration* calibration, std::string where, ProductAlgorithms algorithms = {});

  /// The typed graph; its float weights are missing and stand in weights(). At most once.
  onnx::GraphProto run();

  /// In the order of their first use.
  [[nodiscard]] const std::vector<WeightUse>& weights() const { return weights_; }

  [[nodiscard]] const TypedGraphReport& report() const { return report_; }

 private:
  void check_operators() const;
  void add_inputs();
  void add_node(const onnx::NodeProto& node);
  void add_outputs();
  void note_unused_rules();
  [[noreturn]] void fail(const std::string& text) const;

  /// Element type (ONNX) of a tensor, as the typed graph stands now.
  [[nodiscard]] int type_of(const std::string& tensor, const onnx::NodeProto& node) const;
  /// Whether the inputs that have the result's type hold floats (as opposed to integers).
  [[nodiscard]] bool is_float(const onnx::NodeProto& node, const OperatorTyping& typing) const;
  [[nodiscard]] DType decide(const onnx::NodeProto& node, const OperatorTyping& typing);
  /// The type that all inputs but weights have; float32 when they differ or there is none.
  [[nodiscard]] DType inherited(const onnx::NodeProto& node, const OperatorTyping& typing) const;
  [[nodiscard]] bool is_quantised(const std::string& node);

  /// The name under which `tensor` exists in `type`: itself, a cast of it, or a form of a weight.
  std::string in_type(const std::string& tensor, DType type, const onnx::NodeProto& node);
  std::string cast(const std::string& tensor, DType type);
  std::string weight(const onnx::TensorProto& source, DType type, bool fp8,
                     const onnx::NodeProto& node);
  void quantise(onnx::NodeProto& product, const onnx::NodeProto& node, DType type);
  /// An operator of cuBLASLt: its scales, and where it is quantised its weights.
  void type_product(onnx::NodeProto& typed, const onnx::NodeProto& node, DType type);
  void quantise_factor(onnx::NodeProto& typed, const onnx::NodeProto& node, size_t product,
                       const std::string& name);
  void add_algorithms(onnx::NodeProto& typed, const onnx::NodeProto& node, DType type, bool fp8);
  void add_scalar(const std::string& name, DType type, float value);
  onnx::NodeProto& add_op(const std::string& op_type, const std::string& name,
                          const std::vector<std::string>& inputs, int result_type);

  const onnx::GraphProto& source_;
  std::string component_;
  const Recipe& recipe_;
  const Calibration* calibration_;
  std::string where_;
  ProductAlgorithms algorithms_;
  const std::vector<TypeRule>* rules_ = nullptr;
  const std::vector<std::string>* fp8_ = nullptr;
  onnx::GraphProto result_;
  std::vector<WeightUse> weights_;
  TypedGraphReport report_;
  std::unordered_map<std::string, const onnx::TensorProto*> initializers_;
  std::unordered_map<std::string, int> types_;  ///< Of integer weights, inputs and nodes so far.
  std::unordered_set<std::string> outputs_;
  std::unordered_set<std::string> weight_names_;
  std::map<std::pair<std::string, DType>, std::string> casts_;
  std::vector<bool> rule_used_;
  std::vector<bool> fp8_used_;
  bool has_fp8_zero_ = false;
  std::string missing_;  ///< Products without a calibration.
};

}  // namespace sam3trt
