#include "precision/vision_fusion.hpp"

#include <utility>
#include <vector>

#include "base/own_operators.hpp"
#include "precision/graph_rewriter.hpp"

namespace sam3trt {
namespace {

constexpr const char* kConstant = GraphRewriter::kConstant;
constexpr const char* kTensor = GraphRewriter::kTensor;

}  // namespace

int64_t fuse_patch_embedding(onnx::GraphProto& graph, const std::string& where) {
  GraphRewriter rewriter(graph, where, kPatchEmbedding);
  if (!rewriter.has(kPatchEmbedding)) return 0;
  const std::string name = kPatchEmbedding;
  const auto& conv = rewriter.expect(name, "Conv", {kTensor, kConstant});
  const auto& split =
      rewriter.expect("/vision/to_windows/split", "Reshape", {conv.name(), kConstant});
  const auto& order = rewriter.expect("/vision/to_windows/order", "Transpose", {split.name()});
  const auto& tokens = rewriter.expect("/vision/to_windows", "Reshape", {order.name(), kConstant});
  const std::vector<int64_t> weight = rewriter.shape_of(conv.input(1));  // [N, C, P, P]
  const int64_t window = rewriter.numbers_of(split.input(1), 6)[3];
  if (weight.size() != 4 || weight[1] > kMostPatchChannels || weight[2] != weight[3] ||
      weight[2] > kMostPatch || window < 1) {
    return 0;
  }
  const int64_t values = weight[1] * weight[2] * weight[3];
  const int64_t rest = patch_columns(values) - values;
  const std::string rows = name + "/rows";
  const std::string columns = name + "/columns";
  auto& patches =
      rewriter.replace(conv, kPatches, name + "/patches", {conv.input(0)}, {name + "/patches"});
  set_int(patches, "patch", weight[2]);
  set_int(patches, "window", window);
  rewriter.remove(split);
  rewriter.remove(order);
  rewriter.replace(tokens, "Reshape", rows,
                   {conv.input(1), rewriter.add_numbers(rows + "/shape", {weight[0], values})},
                   {rows});
  std::string padded = rows;
  if (rest > 0) {
    padded = name + "/padded";
    auto& join =
        rewriter.replace(tokens, "Concat", padded,
                         {rows, rewriter.add_zeros(name + "/zeros", {weight[0], rest})}, {padded});
    set_int(join, "axis", 1);
  }
  set_order(rewriter.replace(tokens, "Transpose", columns, {padded}, {columns}), {1, 0});
  rewriter.replace(tokens, "MatMul", name + "/matmul", {name + "/patches", columns},
                   {tokens.output(0)});
  graph = rewriter.result();
  return rewriter.own_operators();
}

int64_t fuse_vision_map(onnx::GraphProto& graph, const std::string& where) {
  GraphRewriter rewriter(graph, where, kVisionMap);
  if (!rewriter.has(kVisionMap)) return 0;
  const std::string name = kVisionMap;
  const auto& split = rewriter.expect(name + "/split", "Reshape", {kTensor, kConstant});
  const auto& order = rewriter.expect(name + "/order", "Transpose", {split.name()});
  const auto& ordered = rewriter.expect(name, "Reshape", {order.name(), kConstant});
  const auto shape = rewriter.numbers_of(split.input(1), 6);  // [B, G / W, G / W, W, W, N]
  if (shape[5] % kLowColumns != 0 || shape[5] > kMostNormalisedColumns) return 0;
  std::string map = name;
  std::string rows = name + "/rows";
  rewriter.remove(split);
  rewriter.remove(order);
  // With a tracker tokens are an output, too, and the map comes from them.
  if (rewriter.has("/vision/map")) {
    const auto& channels = rewriter.expect("/vision/map/channels", "Transpose", {name});
    rewriter.remove(channels);
    rewriter.remove(rewriter.expect("/vision/map", "Reshape", {channels.name(), kConstant}));
    map = "/vision/map";
    rows = name;
  }
  auto& fused =
      rewriter.replace(ordered, kWindowMap, name + "/window_map", {split.input(0)}, {map, rows});
  set_int(fused, "grid", shape[1] * shape[3]);
  set_int(fused, "window", shape[3]);
  graph = rewriter.result();
  return rewriter.own_operators();
}

}  // namespace sam3trt
