#include "model/neck.hpp"

#include <utility>

#include "onnx/ops.hpp"

namespace sam3trt {

Value add_neck_level(ModelGraph& model, const std::string& name, const std::string& prefix,
                     const Value& map, int64_t level) {
  const std::string layers = prefix + "fpn_layers." + std::to_string(level) + ".";
  const auto parameters = [&](const std::string& layer) {
    return std::pair(model.weight(layers + layer + ".weight"),
                     model.weight(layers + layer + ".bias"));
  };
  Value x = map;
  if (level <= 1) {
    const auto [weight, bias] = parameters("scale_layers.0");
    x = add_conv_transpose(model.graph, name + "/up0", x, weight, bias);
  }
  if (level == 0) {
    x = add_gelu(model.graph, name + "/gelu", x);
    const auto [weight, bias] = parameters("scale_layers.2");
    x = add_conv_transpose(model.graph, name + "/up1", x, weight, bias);
  }
  const auto [weight1, bias1] = parameters("proj1");
  x = add_conv(model.graph, name + "/proj1", x, weight1, bias1, {});
  const auto [weight2, bias2] = parameters("proj2");
  return add_conv(model.graph, name + "/proj2", x, weight2, bias2, {.padding = 1});
}

Value add_map(Graph& graph, const std::string& name, const Value& tokens, int64_t grid) {
  const Value channels = add_transpose(graph, name + "/channels", tokens, {0, 2, 1});
  return add_reshape(graph, name, channels, {channels.dim(0), channels.dim(1), grid, grid});
}

}  // namespace sam3trt
