#include "base/error.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

void require(bool condition, const std::string& name, const Value& x, const Value& weight) {
  if (condition) return;
  throw Error(ErrorCode::kInternal, name + ": weight " + to_string(weight.shape) +
                                        " does not fit input " + to_string(x.shape));
}

}  // namespace

Value add_layer_normalization(Graph& graph, const std::string& name, const Value& x,
                              const Value& scale, const Value& bias, float epsilon) {
  require(scale.shape == SymbolicShape{x.shape.back()} && bias.shape == scale.shape, name, x,
          scale);
  Value result{name, x.dtype, x.shape};
  graph.add_node("LayerNormalization", name, {x, scale, bias}, {result},
                 {{"axis", int64_t{-1}}, {"epsilon", epsilon}, {"stash_type", int64_t{1}}});
  return result;
}

Value add_instance_normalization(Graph& graph, const std::string& name, const Value& x,
                                 const Value& scale, const Value& bias, float epsilon) {
  require(scale.shape == SymbolicShape{x.dim(1)} && bias.shape == scale.shape, name, x, scale);
  Value result{name, x.dtype, x.shape};
  graph.add_node("InstanceNormalization", name, {x, scale, bias}, {result}, {{"epsilon", epsilon}});
  return result;
}

Value add_conv(Graph& graph, const std::string& name, const Value& x, const Value& weight,
               const Value& bias, const ConvOptions& options) {
  require(x.rank() == 4 && weight.rank() == 4 && x.dim(1) == weight.dim(1).times(options.groups),
          name, x, weight);
  const int64_t kernel = weight.dim(2).value();
  Value result{name, x.dtype, {x.dim(0), weight.dim(0)}};
  for (size_t axis = 2; axis < 4; ++axis) {
    const int64_t size = x.dim(axis).value() + 2 * options.padding - kernel;
    require(size >= 0, name, x, weight);
    result.shape.emplace_back(size / options.stride + 1);
  }
  std::vector<Value> inputs = {x, weight};
  if (!bias.name.empty()) inputs.push_back(bias);
  Attributes attributes = {{"kernel_shape", std::vector<int64_t>{kernel, kernel}},
                           {"pads", std::vector<int64_t>(4, options.padding)},
                           {"strides", std::vector<int64_t>{options.stride, options.stride}}};
  if (options.groups != 1) attributes.emplace_back("group", options.groups);
  graph.add_node("Conv", name, inputs, {result}, attributes);
  return result;
}

Value add_conv_transpose(Graph& graph, const std::string& name, const Value& x, const Value& weight,
                         const Value& bias) {
  require(x.rank() == 4 && weight.rank() == 4 && x.dim(1) == weight.dim(0), name, x, weight);
  const int64_t kernel = weight.dim(2).value();
  Value result{
      name, x.dtype, {x.dim(0), weight.dim(1), x.dim(2).times(kernel), x.dim(3).times(kernel)}};
  graph.add_node("ConvTranspose", name, {x, weight, bias}, {result},
                 {{"kernel_shape", std::vector<int64_t>{kernel, kernel}},
                  {"strides", std::vector<int64_t>{kernel, kernel}}});
  return result;
}

Value add_upsample_nearest_2x(Graph& graph, const std::string& name, const Value& x) {
  const Value scales = graph.add_constant_f32(name + "/scales", {4}, {1.0F, 1.0F, 2.0F, 2.0F});
  Value result{name, x.dtype, {x.dim(0), x.dim(1), x.dim(2).times(2), x.dim(3).times(2)}};
  graph.add_node("Resize", name, {x, Value{}, scales}, {result},
                 {{"mode", std::string("nearest")},
                  {"coordinate_transformation_mode", std::string("asymmetric")},
                  {"nearest_mode", std::string("floor")}});
  return result;
}

}  // namespace sam3trt
