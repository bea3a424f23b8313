#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "precision/fusion.hpp"

namespace sam3trt {

inline void add_node(onnx::GraphProto& graph, const std::string& name, const std::string& op,
                     const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs = {}) {
  auto* node = graph.add_node();
  node->set_name(name);
  node->set_op_type(op);
  for (const std::string& input : inputs) node->add_input(input);
  for (const std::string& output : outputs.empty() ? std::vector{name} : outputs) {
    node->add_output(output);
  }
}

inline void add_constant(onnx::GraphProto& graph, const std::string& name,
                         const std::vector<int64_t>& values) {
  auto* tensor = graph.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->set_raw_data(values.data(), values.size() * sizeof(int64_t));
}

inline onnx::NodeProto& node_of(onnx::GraphProto& graph, const std::string& name) {
  for (auto& node : *graph.mutable_node()) {
    if (node.name() == name) return node;
  }
  throw std::logic_error(name);
}

inline onnx::TensorProto& constant_of(onnx::GraphProto& graph, const std::string& name) {
  for (auto& tensor : *graph.mutable_initializer()) {
    if (tensor.name() == name) return tensor;
  }
  throw std::logic_error(name);
}

inline std::vector<std::string> node_names(const onnx::GraphProto& graph) {
  std::vector<std::string> names;
  for (const auto& node : graph.node()) names.push_back(node.name());
  return names;
}

inline std::map<std::string, int64_t> attributes_of(const onnx::NodeProto& node) {
  std::map<std::string, int64_t> attributes;
  for (const auto& attribute : node.attribute()) {
    EXPECT_EQ(attribute.type(), onnx::AttributeProto::INT);
    attributes[attribute.name()] = attribute.i();
  }
  return attributes;
}

inline int64_t fuse(onnx::GraphProto& graph, const std::string& pattern = "/vision/blocks.*/attn") {
  return fuse_nodes(graph, {pattern}, "in.onnx");
}

/// Fusing leaves the graph as it is.
inline void expect_stays(onnx::GraphProto graph, const std::string& pattern) {
  const std::string before = graph.SerializeAsString();
  EXPECT_EQ(fuse(graph, pattern), 0) << pattern;
  EXPECT_EQ(graph.SerializeAsString(), before) << pattern;
}

/// Fusing is refused with a message that says `what`.
inline void expect_refused(onnx::GraphProto graph, const std::string& pattern,
                           const std::string& what) {
  try {
    fuse(graph, pattern);
    ADD_FAILURE() << what;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr(what));
  }
}

}  // namespace sam3trt
