#include "openvino/openvino_engine.hpp"

#include <cstring>
#include <openvino/openvino.hpp>
#include <openvino/runtime/exception.hpp>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/stop.hpp"
#include "components/components.hpp"

namespace sam3trt {
namespace {

DType dtype_of(const ov::element::Type& type, const std::string& where) {
  if (type == ov::element::f32) return DType::kF32;
  if (type == ov::element::i64) return DType::kI64;
  if (type == ov::element::i32) return DType::kI32;
  if (type == ov::element::f16) return DType::kF16;
  if (type == ov::element::bf16) return DType::kBF16;
  if (type == ov::element::u8) return DType::kU8;
  throw_bad_input(where + ": element type " + type.get_type_name() + " is not supported");
}

ov::element::Type element_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return ov::element::f32;
    case DType::kI64:
      return ov::element::i64;
    case DType::kI32:
      return ov::element::i32;
    case DType::kF16:
      return ov::element::f16;
    case DType::kBF16:
      return ov::element::bf16;
    case DType::kU8:
      return ov::element::u8;
    default:
      throw Error(ErrorCode::kInternal,
                  "dtype " + std::string(name_of(dtype)) + " is never an engine input");
  }
}

std::vector<TensorInfo> describe(const ov::OutputVector& ports, const std::string& path) {
  std::vector<TensorInfo> infos;
  for (const auto& port : ports) {
    TensorInfo info{port.get_any_name(), dtype_of(port.get_element_type(), path), {}};
    for (const auto& dim : port.get_partial_shape()) {
      info.shape.push_back(dim.is_static() ? dim.get_length() : -1);
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

/// OpenVINO's message on one line, without the places in its sources that it was thrown from.
std::string reason_of(const std::exception& error) {
  std::istringstream lines(error.what());
  std::string reason;
  for (std::string line; std::getline(lines, line);) {
    const bool is_place = line.find("Exception from src/") != std::string::npos ||
                          line.find(" failed at src/") != std::string::npos ||
                          line.find("FrontEnd API failed") != std::string::npos;
    if (is_place || line.find_first_not_of(" \t") == std::string::npos) continue;
    reason += (reason.empty() ? "" : " ") + line;
  }
  return reason.empty() ? error.what() : reason;
}

/// Without "snippets", kernels that OpenVINO generates for groups of operators. Where shapes are
/// dynamic, OpenVINO 2026.4.1 infers shapes in one thread while another one prepares operators, and
/// for snippets the former puts entries into the cache of the latter, which is made for one thread
/// (Subgraph::shapeInfer, Node::prepareParams and MultiCache of its CPU plugin): now and then a
/// process died in it, or later where the cache was destroyed.
void turn_snippets_off(ov::Core& core) {
  try {
    core.set_property("CPU", {{"SNIPPETS_MODE", "DISABLE"}});
  } catch (const ov::Exception& error) {
    log(LogLevel::kWarning,
        "this OpenVINO may crash where it uses two threads: its snippets cannot "
        "be turned off: " +
            reason_of(error));
  }
}

/// Never destroyed: at the end of the program its plugins and their threads would be taken apart
/// beside everything else that is static, in no order that anybody knows.
ov::Core& core() {
  static auto* const kInstance = [] {
    auto* core = new ov::Core;
    turn_snippets_off(*core);
    return core;
  }();
  return *kInstance;
}

class OpenVinoEngine : public Engine {
 public:
  /// Names come from `source`: compiling adds the names of nodes that it removes.
  OpenVinoEngine(std::string path, ov::Model& source, ov::CompiledModel model, std::stop_token stop)
      : path_(std::move(path)),
        stop_(std::move(stop)),
        model_(std::move(model)),
        request_(model_.create_infer_request()),
        inputs_(describe(source.inputs(), path_)),
        outputs_(describe(source.outputs(), path_)) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    check(inputs);
    try {
      for (const auto& [name, tensor] : inputs) {
        const ov::Shape shape(tensor->shape().begin(), tensor->shape().end());
        // OpenVINO only reads inputs, but its tensors wrap mutable memory.
        auto* data = const_cast<std::byte*>(tensor->bytes().data());
        request_.set_tensor(name, ov::Tensor(element_type(tensor->dtype()), shape, data));
      }
      throw_if_stopped(stop_, path_ + ": the run");
      infer();
      return collect();
    } catch (const ov::Cancelled&) {
      throw StoppedError(path_ + ": the run was cancelled");
    } catch (const ov::Exception& error) {
      throw Error(ErrorCode::kInternal, path_ + ": OpenVINO failed: " + reason_of(error));
    }
  }

 private:
  void infer() {
    if (!stop_.stop_possible()) return request_.infer();
    const std::stop_callback cancel(stop_, [this] { request_.cancel(); });
    request_.start_async();
    request_.wait();
    throw_if_stopped(stop_, path_ + ": the run");  // a request that had not begun is not cancelled
  }

  void check(const TensorMap& inputs) const {
    for (const TensorInfo& info : inputs_) {
      const auto found = inputs.find(info.name);
      if (found == inputs.end()) throw_bad_input(path_ + ": input " + info.name + " is missing");
      check_fits(info, *found->second);
    }
    if (inputs.size() == inputs_.size()) return;
    for (const auto& [name, tensor] : inputs) {
      bool known = false;
      for (const TensorInfo& info : inputs_) known = known || info.name == name;
      if (!known) throw_bad_input(path_ + ": there is no input " + name);
    }
  }

  void check_fits(const TensorInfo& info, const Tensor& tensor) const {
    bool fits = tensor.dtype() == info.dtype && tensor.shape().size() == info.shape.size();
    for (size_t i = 0; fits && i < info.shape.size(); ++i) {
      const int64_t least = may_be_empty(info.name, i) ? 0 : 1;
      fits = info.shape[i] < 0 ? tensor.shape()[i] >= least : tensor.shape()[i] == info.shape[i];
    }
    if (fits) return;
    throw_bad_input(path_ + ": input " + info.name + " expects " +
                    std::string(name_of(info.dtype)) + " " + to_string(info.shape) + ", found " +
                    std::string(name_of(tensor.dtype())) + " " + to_string(tensor.shape()));
  }

  [[nodiscard]] std::map<std::string, Tensor> collect() {
    std::map<std::string, Tensor> results;
    for (const TensorInfo& info : outputs_) {
      const ov::Tensor output = request_.get_tensor(info.name);
      const ov::Shape& shape = output.get_shape();
      Tensor result(info.dtype, Shape(shape.begin(), shape.end()));
      std::memcpy(result.bytes().data(), output.data(), result.bytes().size());
      results.emplace(info.name, std::move(result));
    }
    return results;
  }

  std::string path_;
  std::stop_token stop_;
  ov::CompiledModel model_;
  ov::InferRequest request_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

}  // namespace

std::unique_ptr<Engine> load_openvino_engine(const std::filesystem::path& onnx_path,
                                             const OpenVinoOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(onnx_path, ignored)) {
    throw_bad_input(onnx_path.string() + ": there is no such file; 'sam3trt export' writes it");
  }
  throw_if_stopped(options.stop, onnx_path.string() + ": loading");
  try {
    ov::AnyMap properties = {{ov::hint::inference_precision.name(), ov::element::f32},
                             {ov::hint::execution_mode.name(), ov::hint::ExecutionMode::ACCURACY}};
    if (options.threads > 0) properties[ov::inference_num_threads.name()] = options.threads;
    const auto model = core().read_model(onnx_path.string());
    return std::make_unique<OpenVinoEngine>(
        onnx_path.string(), *model, core().compile_model(model, "CPU", properties), options.stop);
  } catch (const ov::Exception& error) {
    throw_bad_input(onnx_path.string() + ": OpenVINO cannot load it: " + reason_of(error) +
                    "; export the graph again (large weights lie beside it in FILE.onnx.data)");
  }
}

std::string openvino_version() { return ov::get_openvino_version().buildNumber; }

std::string openvino_identity() { return "OpenVINO " + openvino_version() + " without snippets"; }

bool has_openvino() { return true; }

void require_openvino(const std::string& /*purpose*/) {}

}  // namespace sam3trt
