#include "precision/precision.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "base/sha256.hpp"
#include "onnx/model_file.hpp"
#include "precision/exported_graph.hpp"
#include "precision/fusion.hpp"
#include "precision/graph_typer.hpp"
#include "precision/weight_forms.hpp"

namespace sam3trt {
namespace {

uint64_t stored_bytes(const WeightUse& use, const std::string& where) {
  const std::vector<int64_t> shape(use.source->dims().begin(), use.source->dims().end());
  const auto count = checked_element_count(shape);
  const auto bytes =
      count ? checked_mul(static_cast<uint64_t>(*count), use.fp8 ? 1 : size_of(use.type))
            : std::nullopt;
  if (bytes) return *bytes;
  throw_bad_input(where + ": tensor '" + use.source->name() + "' has the impossible shape " +
                  to_string(shape) + "; export the graph again");
}

/// Reads, converts and writes the weights of a typed graph, one at a time.
class WeightStore {
 public:
  WeightStore(std::filesystem::path model_path, ModelWriter& writer, onnx::GraphProto& graph,
              TypedGraphReport& report)
      : model_path_(std::move(model_path)), writer_(writer), graph_(graph), report_(report) {}

  void add(const WeightUse& use) {
    const std::vector<float> values = read_f32(*use.source, model_path_);
    if (!use.scales.empty()) return add_fp8_rows(use, values);
    if (use.fp8) return add_fp8(use, values);
    const WeightForm form = in_form(values, use.type);
    if (form.overflows != 0) {
      overflows_ += "\n  '" + use.source->name() + "' (node '" + use.node +
                    "'): " + std::to_string(form.overflows) + " of " +
                    std::to_string(values.size()) + " values";
    }
    if (use.type != DType::kF32) report_.narrowed_weights += static_cast<int64_t>(values.size());
    report_.flushed_weights += form.flushed;
    report_.subnormal_weights += form.subnormals;
    writer_.set_data(add_tensor(use, use.name, element_type(use.type)), form.bytes);
  }

  /// Once all weights are there: what products need to know of their factors' scales.
  void add_scales() {
    for (const auto& [name, values] : scales_) {
      auto* tensor = graph_.add_initializer();
      tensor->set_name(name);
      tensor->set_data_type(onnx::TensorProto::FLOAT);
      tensor->add_dims(static_cast<int64_t>(values.size()) / kScaleValues);
      tensor->add_dims(kScaleValues);
      writer_.set_data(tensor, in_form(values, DType::kF32).bytes);
    }
  }

  /// Throws when a weight did not fit its type.
  void check(const Recipe& recipe) const {
    if (overflows_.empty()) return;
    throw_bad_input(model_path_.string() +
                    ": weights that are not finite in the types of recipe '" + recipe.name + "':" +
                    overflows_ + "\nuse bf16, or a recipe that keeps these nodes in float32");
  }

 private:
  onnx::TensorProto* add_tensor(const WeightUse& use, const std::string& name, int type) {
    auto* tensor = graph_.add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    *tensor->mutable_dims() = use.source->dims();
    return tensor;
  }

  void add_fp8(const WeightUse& use, const std::vector<float>& values) {
    const auto columns = static_cast<size_t>(use.source->dims(1));
    const Fp8Matrix matrix = in_fp8(values, columns, use.type);
    if (!matrix.finite) overflows_ += "\n  '" + use.source->name() + "' (node '" + use.node + "')";
    report_.narrowed_weights += static_cast<int64_t>(values.size());
    writer_.set_data(add_tensor(use, use.name, onnx::TensorProto::FLOAT8E4M3FN), matrix.data);
    auto* scale = add_tensor(use, use.name + "_scale", element_type(use.type));
    scale->clear_dims();
    scale->add_dims(use.source->dims(1));
    writer_.set_data(scale, in_form(matrix.scales, use.type).bytes);
  }

  /// Of an operator of cuBLASLt.
  void add_fp8_rows(const WeightUse& use, const std::vector<float>& values) {
    const Fp8Transpose matrix = in_fp8_transposed(values, static_cast<size_t>(use.source->dims(1)));
    if (!matrix.finite) overflows_ += "\n  '" + use.source->name() + "' (node '" + use.node + "')";
    report_.narrowed_weights += static_cast<int64_t>(values.size());
    auto* tensor = add_tensor(use, use.name, onnx::TensorProto::INT32);
    tensor->set_dims(0, use.source->dims(1));
    tensor->set_dims(1, use.source->dims(0) / static_cast<int64_t>(sizeof(int32_t)));
    writer_.set_data(tensor, matrix.data);
    std::vector<float>& scales = scales_[use.scales];
    scales.resize(std::max(scales.size(), (use.product + 1) * 3 * kScaleStep));
    float* to = scales.data() + use.product * 3 * kScaleStep;
    to[0] = 1 / use.input_scale;
    to[kScaleStep] = use.input_scale;
    to[2 * kScaleStep] = matrix.scale;
  }

  static constexpr auto kScaleStep = static_cast<size_t>(kScaleValues);

  std::filesystem::path model_path_;
  ModelWriter& writer_;
  onnx::GraphProto& graph_;
  TypedGraphReport& report_;
  std::string overflows_;
  std::map<std::string, std::vector<float>> scales_;  ///< By their tensor.
};

/// The operators used here mean the same in opset 20 and 22; 22 is the first in which convolutions
/// take bfloat16 (ONNX operator changelog), and needs IR version 10.
void raise_versions_for_bf16(onnx::ModelProto& model) {
  for (auto& opset : *model.mutable_opset_import()) {
    if (opset.domain().empty()) opset.set_version(std::max<int64_t>(opset.version(), 22));
  }
  model.set_ir_version(std::max<int64_t>(model.ir_version(), 10));
}

void fuse(onnx::ModelProto& model, const std::vector<std::string>& patterns,
          const std::string& where) {
  if (fuse_nodes(*model.mutable_graph(), patterns, where) == 0) return;
  auto* own = model.add_opset_import();
  own->set_domain(kOwnDomain);
  own->set_version(1);
}

void check_calibration(const ExportedGraph& graph, const Calibration& calibration,
                       const std::string& where) {
  if (calibration.component == graph.component &&
      calibration.checkpoint_sha256 == graph.checkpoint_sha256) {
    return;
  }
  throw_bad_input(where + ": the calibration was made with the " + calibration.component +
                  " of another checkpoint or with another component; calibrate this graph");
}

}  // namespace

TypedGraphReport write_typed_graph(const std::filesystem::path& input,
                                   const std::filesystem::path& output, const Recipe& recipe,
                                   const Calibration* calibration, uint64_t inline_limit_bytes,
                                   const ProductAlgorithms& algorithms) {
  ExportedGraph source = read_exported_graph(input);
  std::error_code error;
  if (std::filesystem::equivalent(input, output, error)) {
    throw_bad_input(output.string() + ": the typed graph would replace the graph it is made from");
  }
  if (calibration != nullptr) check_calibration(source, *calibration, input.string());
  std::vector<std::string> fused;
  for (const auto* patterns : {&recipe.fused, &recipe.products}) {
    const auto found = patterns->find(source.component);
    if (found == patterns->end()) continue;
    fused.insert(fused.end(), found->second.begin(), found->second.end());
  }
  if (!fused.empty()) fuse(source.model, fused, input.string());
  GraphTyper typer(source.model.graph(), source.component, recipe, calibration, input.string(),
                   algorithms);
  onnx::ModelProto typed = source.model;
  typed.clear_graph();
  *typed.mutable_graph() = typer.run();
  set_metadata_value(typed, "sam3trt.precision", std::string(name_of(recipe.precision)));
  set_metadata_value(typed, "sam3trt.recipe", recipe.name);
  set_metadata_value(typed, "sam3trt.recipe_sha256", recipe.sha256());

  TypedGraphReport report = typer.report();
  const std::string nodes = typed.graph().SerializeAsString();
  report.graph_sha256 = sha256_hex(std::as_bytes(std::span(nodes)));
  if (report.nodes.contains(DType::kBF16)) raise_versions_for_bf16(typed);
  uint64_t total_bytes = 0;
  for (const WeightUse& use : typer.weights()) total_bytes += stored_bytes(use, input.string());
  AtomicFiles files;
  ModelWriter writer(files, output, total_bytes > inline_limit_bytes);
  WeightStore store(input, writer, *typed.mutable_graph(), report);
  for (const WeightUse& use : typer.weights()) store.add(use);
  store.add_scales();
  store.check(recipe);
  writer.finish(typed);
  report.written = files.commit();
  return report;
}

}  // namespace sam3trt
