#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/tensor.hpp"
#include "onnx/dim.hpp"

namespace sam3trt {

class AtomicFiles;

/// A tensor inside a graph: its name, element type and shape.
struct Value {
  std::string name;
  DType dtype = DType::kF32;
  SymbolicShape shape;

  [[nodiscard]] const Dim& dim(size_t axis) const { return shape.at(axis); }
  [[nodiscard]] size_t rank() const { return shape.size(); }
};

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;

/// Makes the values of a constant when the graph is saved, so that a graph of gigabytes never lies
/// in memory.
using ConstantMaker = std::function<std::vector<float>()>;

/// Told how many bytes of all constants are written.
using ConstantWritten = std::function<void(uint64_t done, uint64_t all)>;

/// An ONNX model under construction (opset 20, IR version 9). Names are paths such as
/// "/vision/blocks.3/attn/qkv"; a duplicate name throws Error(kInternal). The same calls give the
/// same bytes.
class Graph {
 public:
  explicit Graph(const std::string& name);
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  Value add_input(const std::string& name, DType dtype, SymbolicShape shape);

  /// Declares `value` as the output `name`, through an Identity node.
  void add_output(const std::string& name, const Value& value);

  /// A float constant whose values are made on save; the maker must return as many values as the
  /// (static) shape holds.
  Value add_constant(const std::string& name, Shape shape, ConstantMaker maker);

  /// Small constants with values at hand.
  Value add_constant_f32(const std::string& name, Shape shape, std::vector<float> values);
  Value add_constant_i64(const std::string& name, Shape shape, std::vector<int64_t> values);

  /// Adds one node; `outputs` carry the names (unique), types and shapes the caller inferred. The
  /// add_<op> functions of onnx/ops.hpp call it.
  void add_node(const std::string& op_type, const std::string& name,
                const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                const Attributes& attributes = {});

  void set_metadata(const std::string& key, const std::string& value);

  /// Writes `path`. When the float constants exceed `inline_limit_bytes`, those of at least 1 KiB
  /// go to `path` + ".data" (ONNX external data, 4 KiB aligned). Both files appear only when
  /// complete. Returns the paths written.
  std::vector<std::filesystem::path> save(const std::filesystem::path& path,
                                          uint64_t inline_limit_bytes = kInlineLimitBytes) const;

  /// The same into `files`, whose commit() makes them appear, together with others. What `written`
  /// throws ends the writing.
  void save_into(AtomicFiles& files, const std::filesystem::path& path,
                 uint64_t inline_limit_bytes = kInlineLimitBytes,
                 const ConstantWritten& written = {}) const;

  static constexpr uint64_t kInlineLimitBytes = uint64_t{32} << 20;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sam3trt
