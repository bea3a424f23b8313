#include "model/neck.hpp"

#include <algorithm>
#include <functional>
#include <vector>

#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

/// Weights [groups, M, columns] under a 1x1 convolution `outer` [O, M]: [groups, O, columns].
std::vector<float> projected(const std::vector<float>& outer, const std::vector<float>& inner,
                             int64_t groups, int64_t columns) {
  const auto width = static_cast<size_t>(columns);
  const size_t middle = inner.size() / (static_cast<size_t>(groups) * width);
  const size_t outputs = outer.size() / middle;
  std::vector<float> result;
  result.reserve(static_cast<size_t>(groups) * outputs * width);
  for (size_t group = 0; group < static_cast<size_t>(groups); ++group) {
    for (size_t output = 0; output < outputs; ++output) {
      std::vector<double> sums(width);
      for (size_t m = 0; m < middle; ++m) {
        const double factor = outer[output * middle + m];
        const float* values = &inner[(group * middle + m) * width];
        for (size_t i = 0; i < width; ++i) sums[i] += factor * values[i];
      }
      for (const double sum : sums) result.push_back(static_cast<float>(sum));
    }
  }
  return result;
}

/// A convolution [O, I, k, k], or the transposed one [I, O, k, k], that the graph has not yet.
struct Convolution {
  std::string name;  ///< Prefix of the constants' names.
  bool transposed = false;
  Shape shape;
  ConstantMaker weight;
  ConstantMaker bias;  ///< [O]
};

Convolution convolution(const ModelGraph& model, const std::string& name, bool transposed) {
  const WeightView weight = model.checkpoint.weight(name + ".weight");
  const WeightView bias = model.checkpoint.weight(name + ".bias");
  return {name, transposed, weight.shape, [weight]() { return weight.to_f32(); },
          [bias]() { return bias.to_f32(); }};
}

/// `inner` and the 1x1 convolution `outer` of what it gives, as one: neither has a nonlinearity,
/// and `outer` does not look at neighbours. Sums are float64.
Convolution joined(const Convolution& inner, const Convolution& outer) {
  Convolution both{inner.name + "+" + outer.name, inner.transposed, inner.shape, {}, {}};
  both.shape[inner.transposed ? 1 : 0] = outer.shape[0];
  const int64_t area = inner.shape[2] * inner.shape[3];
  const int64_t groups = inner.transposed ? inner.shape[0] : 1;
  const int64_t columns = inner.transposed ? area : inner.shape[1] * area;
  both.weight = [inner, outer, groups, columns]() {
    return projected(outer.weight(), inner.weight(), groups, columns);
  };
  both.bias = [inner, outer]() {
    std::vector<float> result = projected(outer.weight(), inner.bias(), 1, 1);
    const std::vector<float> own = outer.bias();
    std::ranges::transform(result, own, result.begin(), std::plus<>());
    return result;
  };
  return both;
}

Value add_convolution(ModelGraph& model, const std::string& name, const Value& map,
                      const Convolution& layer) {
  const Value weight = model.derived(layer.name + ".weight", layer.shape, layer.weight);
  const int64_t outputs = layer.shape[layer.transposed ? 1 : 0];
  const Value bias = model.derived(layer.name + ".bias", {outputs}, layer.bias);
  if (layer.transposed) return add_conv_transpose(model.graph, name, map, weight, bias);
  return add_conv(model.graph, name, map, weight, bias, {.padding = layer.shape[2] / 2});
}

}  // namespace

Value add_neck_level(ModelGraph& model, const std::string& name, const std::string& prefix,
                     const Value& map, int64_t level, const std::string& projection) {
  const std::string layers = prefix + "fpn_layers." + std::to_string(level) + ".";
  const auto part = [&](const std::string& layer) {
    return convolution(model, layers + layer, layer.starts_with("scale_layers."));
  };
  Value x = map;
  if (level == 0) {
    x = add_convolution(model, name + "/up0", x, part("scale_layers.0"));
    x = add_gelu(model.graph, name + "/gelu", x);
  }
  Convolution first = part("proj1");
  if (level == 0) first = joined(part("scale_layers.2"), first);
  if (level == 1) first = joined(part("scale_layers.0"), first);
  x = add_convolution(model, name + "/proj1", x, first);
  Convolution last = part("proj2");
  if (!projection.empty()) last = joined(last, convolution(model, projection, false));
  return add_convolution(model, name + "/proj2", x, last);
}

Value add_map(Graph& graph, const std::string& name, const Value& tokens, int64_t grid) {
  const Value channels = add_transpose(graph, name + "/channels", tokens, {0, 2, 1});
  return add_reshape(graph, name, channels, {channels.dim(0), channels.dim(1), grid, grid});
}

}  // namespace sam3trt
