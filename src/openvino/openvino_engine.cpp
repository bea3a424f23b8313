#include "openvino/openvino_engine.hpp"

#include <algorithm>
#include <cstring>
#include <list>
#include <openvino/openvino.hpp>
#include <openvino/runtime/exception.hpp>
#include <sstream>
#include <utility>

#include "base/error.hpp"
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

/// Never destroyed: at the end of the program its plugins and their threads would be taken apart
/// beside everything else that is static, in no order that anybody knows.
ov::Core& core() {
  static auto* const kInstance = new ov::Core;
  return *kInstance;
}

/// Whether a graph is compiled for the very shapes that it is called with. That takes up to two
/// seconds for new ones, little beside a run, and lets OpenVINO use its snippets, with which
/// attention needs no room for the scores of all pairs of tokens: 7 GB less where images are of
/// 1008 x 1008 pixels.
bool is_large(const std::vector<TensorInfo>& tensors) {
  constexpr int64_t kLarge = 1 << 20;  // a feature map of 64 x 64 x 256
  return std::ranges::any_of(tensors, [](const TensorInfo& info) {
    int64_t elements = 1;
    for (const int64_t dim : info.shape) elements *= std::max<int64_t>(dim, 1);
    return elements >= kLarge;
  });
}

/// A graph as it is compiled, for any shapes or for some.
struct Compiled {
  std::vector<Shape> shapes;  ///< Of the inputs, in their order; empty: any.
  ov::CompiledModel model;
  ov::InferRequest request;
};

class OpenVinoEngine : public Engine {
 public:
  OpenVinoEngine(std::string path, std::shared_ptr<ov::Model> graph, ov::AnyMap properties,
                 std::stop_token stop)
      : path_(std::move(path)),
        stop_(std::move(stop)),
        graph_(std::move(graph)),
        properties_(std::move(properties)),
        inputs_(describe(graph_->inputs(), path_)),
        outputs_(describe(graph_->outputs(), path_)),
        by_shape_(is_large(inputs_)) {
    if (!by_shape_) compile_for({});
  }

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    check(inputs);
    throw_if_stopped(stop_, path_ + ": the run");  // before it is compiled
    try {
      ov::InferRequest& request = request_for(inputs);
      for (const auto& [name, tensor] : inputs) {
        const ov::Shape shape(tensor->shape().begin(), tensor->shape().end());
        // OpenVINO only reads inputs, but its tensors wrap mutable memory.
        auto* data = const_cast<std::byte*>(tensor->bytes().data());
        if (data == nullptr) data = &nothing_;  // refused where shapes are fixed
        request.set_tensor(name, ov::Tensor(element_type(tensor->dtype()), shape, data));
      }
      throw_if_stopped(stop_, path_ + ": the run");
      infer(request);
      return collect(request);
    } catch (const ov::Cancelled&) {
      throw StoppedError(path_ + ": the run was cancelled");
    } catch (const ov::Exception& error) {
      throw Error(ErrorCode::kInternal, path_ + ": OpenVINO failed: " + reason_of(error));
    }
  }

 private:
  /// That of the shapes used last comes first; an older one goes where a new one comes.
  ov::InferRequest& request_for(const TensorMap& inputs) {
    if (!by_shape_) return compiled_.front().request;
    std::vector<Shape> shapes;
    for (const TensorInfo& info : inputs_) shapes.push_back(inputs.at(info.name)->shape());
    const auto found = std::ranges::find(compiled_, shapes, &Compiled::shapes);
    if (found == compiled_.end()) {
      compile_for(shapes);
    } else {
      compiled_.splice(compiled_.begin(), compiled_, found);
    }
    return compiled_.front().request;
  }

  void compile_for(const std::vector<Shape>& shapes) {
    constexpr size_t kKept = 2;
    if (compiled_.size() == kKept) compiled_.pop_back();
    auto graph = graph_;
    ov::AnyMap properties = properties_;
    if (shapes.empty()) {
      // Snippets are kernels that are generated for groups of operators. Where shapes are dynamic,
      // OpenVINO 2026.4.1 infers them in one thread while another one prepares operators; for
      // snippets the former puts entries into the cache of the latter, which is made for one thread
      // (Subgraph::shapeInfer, Node::prepareParams, MultiCache of its CPU plugin). Now and then a
      // process died of it, there or later where the cache was destroyed.
      properties["SNIPPETS_MODE"] = "DISABLE";
    } else {
      graph = graph_->clone();
      std::map<std::string, ov::PartialShape> fixed;
      for (size_t i = 0; i < shapes.size(); ++i) {
        fixed[inputs_[i].name] = std::vector<ov::Dimension>(shapes[i].begin(), shapes[i].end());
      }
      graph->reshape(fixed);
    }
    ov::CompiledModel model = core().compile_model(graph, "CPU", properties);
    ov::InferRequest request = model.create_infer_request();
    compiled_.push_front({shapes, std::move(model), std::move(request)});
  }

  void infer(ov::InferRequest& request) {
    if (!stop_.stop_possible()) return request.infer();
    const std::stop_callback cancel(stop_, [&request] { request.cancel(); });
    request.start_async();
    request.wait();
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

  [[nodiscard]] std::map<std::string, Tensor> collect(ov::InferRequest& request) {
    std::map<std::string, Tensor> results;
    for (const TensorInfo& info : outputs_) {
      const ov::Tensor output = request.get_tensor(info.name);
      const ov::Shape& shape = output.get_shape();
      Tensor result(info.dtype, Shape(shape.begin(), shape.end()));
      std::memcpy(result.bytes().data(), output.data(), result.bytes().size());
      results.emplace(info.name, std::move(result));
    }
    return results;
  }

  std::string path_;
  std::stop_token stop_;
  std::shared_ptr<ov::Model> graph_;
  ov::AnyMap properties_;
  /// Names are those of `graph_`: compiling adds the names of nodes that it removes.
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  bool by_shape_;
  std::byte nothing_{};  ///< Where an empty tensor lies.
  std::list<Compiled> compiled_;
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
    return std::make_unique<OpenVinoEngine>(onnx_path.string(),
                                            core().read_model(onnx_path.string()),
                                            std::move(properties), options.stop);
  } catch (const ov::Exception& error) {
    throw_bad_input(onnx_path.string() + ": OpenVINO cannot load it: " + reason_of(error) +
                    "; export the graph again (large weights lie beside it in FILE.onnx.data)");
  }
}

std::string openvino_version() { return ov::get_openvino_version().buildNumber; }

std::string openvino_identity() {
  return "OpenVINO " + openvino_version() + ", snippets for fixed shapes";
}

bool has_openvino() { return true; }

void require_openvino(const std::string& /*purpose*/) {}

}  // namespace sam3trt
