#include "precision/mask_fusion.hpp"

#include <array>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/own_operators.hpp"
#include "precision/graph_rewriter.hpp"

namespace sam3trt {
namespace {

constexpr const char* kConstant = GraphRewriter::kConstant;
constexpr const char* kTensor = GraphRewriter::kTensor;
constexpr std::array<std::string_view, 2> kSteps = {"/mask/pixel.0", "/mask/pixel.1"};
constexpr std::array<std::string_view, 2> kLevels = {"/mask/level1", "/mask/level0"};

struct Sizes {
  int64_t groups;
  int64_t channels;
  int64_t area;
};

/// Of [R, groups, D / groups * H * W] and [R, D, H, W].
Sizes sizes_of(const GraphRewriter& graph, const std::string& step) {
  const auto groups = graph.numbers_of(step + "/norm/groups/shape", 3);
  const auto map = graph.numbers_of(step + "/norm/map/shape", 4);
  return {groups[1], map[1], map[2] * map[3]};
}

bool has_kernels(const Sizes& sizes) {
  const auto [groups, channels, area] = sizes;
  return groups >= 1 && groups <= kMostNormGroups && channels <= kMostNormalisedColumns &&
         channels % kLowColumns == 0 && channels % (kGroupColumns * groups) == 0 && area % 8 == 0;
}

/// The encoder's tokens of each row, and their normalisation.
void rewrite_beginning(GraphRewriter& graph) {
  const auto& memory = graph.expect("/mask/memory", "Gather", {kTensor, kTensor});
  const auto& norm = graph.expect("/mask/prompt_norm", "LayerNormalization",
                                  {memory.name(), kConstant, kConstant});
  graph.remove(norm);
  auto& gathered = graph.replace(memory, kGatheredNorm, "/mask/gathered_norm",
                                 {memory.input(0), memory.input(1), norm.input(1), norm.input(2)},
                                 {norm.output(0), memory.output(0)});
  set_int(gathered, "epsilon", graph.epsilon_of(norm));
  graph.remove(graph.expect("/mask/channels", "Transpose", {"/mask/prompted"}));
  graph.remove(graph.expect("/mask/map", "Reshape", {"/mask/channels", kConstant}));
}

/// From the tokens of a coarse map to those of the map after the convolution; returns both names of
/// the latter, as a map and as tokens.
std::pair<std::string, std::string> rewrite_step(GraphRewriter& graph, const std::string& step,
                                                 const std::string& level_name,
                                                 const std::string& map,
                                                 const std::string& tokens) {
  const auto& level = graph.expect(level_name, "Gather", {kTensor, kTensor});
  const auto& up = graph.expect(step + "/up", "Resize", {map, "", kConstant});
  const auto& sum = graph.expect(step + "/sum", "Add", {up.name(), level.name()});
  const auto& conv = graph.expect(step + "/conv", "Conv", {sum.name(), kConstant, kConstant});
  const auto& groups = graph.expect(step + "/norm/groups", "Reshape", {conv.name(), kConstant});
  const auto& instance = graph.expect(step + "/norm/instance", "InstanceNormalization",
                                      {groups.name(), kConstant, kConstant});
  const auto& ungrouped = graph.expect(step + "/norm/map", "Reshape", {instance.name(), kConstant});
  const auto& scaled = graph.expect(step + "/norm/scaled", "Mul", {ungrouped.name(), kConstant});
  const auto& norm = graph.expect(step + "/norm", "Add", {scaled.name(), kConstant});
  const auto& relu = graph.expect(step + "/relu", "Relu", {norm.name()});
  for (const auto* node : {&level, &up, &groups, &instance, &ungrouped, &scaled, &norm}) {
    graph.remove(*node);
  }
  graph.replace(sum, kUpsampledSum, step + "/upsampled_sum",
                {tokens, level.input(0), level.input(1)}, {sum.output(0)});
  const std::string result = step + "/tokens";
  auto& fused = graph.replace(relu, kGroupNorm, step + "/group_norm",
                              {conv.output(0), scaled.input(1), norm.input(1)}, {result});
  set_int(fused, "epsilon", graph.epsilon_of(instance));
  set_int(fused, "groups", sizes_of(graph, step).groups);
  return {relu.output(0), result};
}

/// What takes the last map: the product with the masks' embeddings and that to semantic logits.
void rewrite_end(GraphRewriter& graph, const std::string& map, const std::string& tokens) {
  const auto& pixels = graph.expect(kMaskPixels, "Reshape", {map, kConstant});
  set_order(graph.replace(pixels, "Transpose", pixels.name(), {tokens}, {pixels.output(0)}),
            {0, 2, 1});
  const auto& semantic = graph.expect("/mask/semantic", "Conv", {map, kConstant, kConstant});
  const std::string name = semantic.name();
  const auto shape = graph.numbers_of("/mask/pixel.1/norm/map/shape", 4);
  const std::string weight = name + "/weight";
  const std::string product = name + "/product";
  graph.replace(semantic, "Reshape", weight,
                {semantic.input(1), graph.add_numbers(weight + "/shape", {shape[1], 1})}, {weight});
  graph.replace(semantic, "MatMul", product, {tokens, weight}, {product});
  graph.replace(semantic, "Add", name + "/sum", {product, semantic.input(2)}, {name + "/sum"});
  graph.replace(semantic, "Reshape", name,
                {name + "/sum", graph.add_numbers(name + "/shape", {0, 1, shape[2], shape[3]})},
                {semantic.output(0)});
}

}  // namespace

int64_t fuse_mask_pixels(onnx::GraphProto& graph, const std::string& where) {
  GraphRewriter rewriter(graph, where, kMaskPixels);
  if (!rewriter.has(kMaskPixels)) return 0;
  rewrite_beginning(rewriter);
  std::string map = "/mask/map";
  std::string tokens = "/mask/prompted";
  bool fits = true;
  for (size_t i = 0; i < kSteps.size(); ++i) {
    const std::string step(kSteps[i]);
    std::tie(map, tokens) = rewrite_step(rewriter, step, std::string(kLevels[i]), map, tokens);
    fits = fits && has_kernels(sizes_of(rewriter, step));
  }
  rewrite_end(rewriter, map, tokens);
  onnx::GraphProto result = rewriter.result();
  if (!fits) return 0;
  graph = std::move(result);
  return rewriter.own_operators();
}

}  // namespace sam3trt
