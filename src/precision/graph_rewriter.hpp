#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sam3trt {

/// Replaces nodes of a graph that export wrote, after it has looked that they are what it writes.
/// What is not makes it throw Error(kBadInput) that names `what`.
class GraphRewriter {
 public:
  static constexpr const char* kConstant = "$";  ///< As an expected input: any constant.
  static constexpr const char* kTensor = "@";    ///< Any other tensor.

  GraphRewriter(const onnx::GraphProto& graph, std::string where, std::string what);

  [[nodiscard]] bool has(const std::string& node) const { return nodes_.contains(node); }

  /// The node, which has one output of its name and these inputs.
  const onnx::NodeProto& expect(const std::string& name, const std::string& op,
                                const std::vector<std::string>& inputs) const;

  void remove(const onnx::NodeProto& node) { removed_.insert(node.name()); }

  /// Adds to what takes the place of `node`.
  onnx::NodeProto& replace(const onnx::NodeProto& node, const std::string& op,
                           const std::string& name, const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs);

  /// New constants; they return the name.
  std::string add_numbers(const std::string& name, const std::vector<int64_t>& numbers);
  std::string add_zeros(const std::string& name, const std::vector<int64_t>& shape);

  /// A constant of `count` int64.
  [[nodiscard]] std::vector<int64_t> numbers_of(const std::string& name, size_t count) const;

  /// Of a constant.
  [[nodiscard]] std::vector<int64_t> shape_of(const std::string& name) const;

  /// The bits of a normalisation's.
  [[nodiscard]] int32_t epsilon_of(const onnx::NodeProto& norm) const;

  /// How many operators of this program stand in the place of others.
  [[nodiscard]] int64_t own_operators() const;

  /// The graph with the replacements, without constants that nobody uses. Throws when something
  /// else uses what is no longer there.
  [[nodiscard]] onnx::GraphProto result() const;

 private:
  [[noreturn]] void fail(const std::string& problem) const;
  void check_uses() const;

  const onnx::GraphProto& graph_;
  std::string where_;
  std::string what_;
  std::map<std::string, const onnx::NodeProto*> nodes_;
  std::map<std::string, const onnx::TensorProto*> constants_;
  std::map<std::string, std::vector<onnx::NodeProto>> replacements_;  ///< By whose place they take.
  std::set<std::string> removed_;
  std::vector<onnx::TensorProto> new_constants_;
};

/// The bits of a normalisation's epsilon; nothing where it has none.
[[nodiscard]] std::optional<int32_t> epsilon_bits(const onnx::NodeProto& norm);

/// A constant of `count` int64; nothing where it is another one.
[[nodiscard]] std::optional<std::vector<int64_t>> int64_values(const onnx::TensorProto& constant,
                                                               size_t count);

/// Removes constants that no node uses.
void drop_unused_constants(onnx::GraphProto& graph);

/// Adds an attribute to a node.
void set_int(onnx::NodeProto& node, const std::string& name, int64_t value);
void set_order(onnx::NodeProto& transpose, const std::vector<int64_t>& order);

}  // namespace sam3trt
