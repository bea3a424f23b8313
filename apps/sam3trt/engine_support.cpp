#include "engine_support.hpp"

#include <array>
#include <cstdlib>

#include "base/error.hpp"
#include "base/temporary.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/device.hpp"
#include "cuda/operators.hpp"
#include "machine.hpp"
#include "onnx/ops.hpp"
#include "segmenter/engines.hpp"
#include "trt/tensorrt_engine.hpp"

namespace sam3trt {
namespace {

constexpr const char* kInstallTensorRt =
    "only needed for engines: apt-get install libnvinfer10 libnvinfer-plugin10 libnvonnxparsers10 "
    "from NVIDIA's repository, or name the folder of the libraries in SAM3TRT_TENSORRT_DIR";
constexpr const char* kInstallDriver =
    "only needed for engines: install NVIDIA's driver, 580 or later (nvidia-smi shows it)";

/// What stands before "; " of a message: the rest says what to install, as `fix` does.
std::string reason_of(const std::string& text) { return text.substr(0, text.find("; ")); }

bool look_at_gpus(std::vector<Finding>& findings) {
  try {
    const std::string cuda = cuda_driver().cuda_version_text();
    for (const CudaDeviceInfo& device : list_cuda_devices()) {
      findings.push_back({"NVIDIA GPU", true,
                          device.name + ", compute capability " + device.compute_capability() +
                              ", " + in_gigabytes(device.memory_bytes) + ", driver for CUDA " +
                              cuda,
                          ""});
    }
    return true;
  } catch (const Error& error) {
    findings.push_back({"NVIDIA GPU", false, reason_of(error.what()), kInstallDriver});
    return false;
  }
}

void look_at_libraries(EngineSupport& support) {
  bool found = false;
  for (const TensorRtLibraryInfo& library : find_tensorrt_libraries()) {
    const std::string name(name_of(library.flavour));
    const bool rtx = library.flavour == TensorRtFlavour::kTensorRtRtx;
    found = found || !rtx;
    if (!library.problem.empty()) {
      support.findings.push_back(
          {name, false, library.library + " " + library.problem, library.fix});
      continue;
    }
    support.findings.push_back({name, true, library.version + " (" + library.library + ")", ""});
    const bool builds = library.parser_problem.empty();
    support.findings.push_back({name + " builder", builds,
                                builds ? "with its ONNX parser" : library.parser_problem,
                                builds ? "" : library.fix});
    support.builds_rtx = support.builds_rtx || (rtx && builds);
  }
  if (found) return;
  std::string detail = "no libnvinfer.so.11 or libnvinfer.so.10";
  if (const char* folder = std::getenv("SAM3TRT_TENSORRT_DIR"); folder != nullptr && *folder != 0) {
    detail += std::string(" in ") + folder + ", which SAM3TRT_TENSORRT_DIR names";
  }
  support.findings.push_back({"TensorRT", false, detail, kInstallTensorRt});
}

/// With it the first recipes of the vision encoder are tried, which are faster.
Finding check_cublaslt() {
  const CublasLtInfo library = find_cublaslt();
  if (library.problem.empty()) {
    return {"cuBLASLt", true, library.version + " (" + library.file + ")", ""};
  }
  const std::string reason = reason_of(library.problem);
  return {"cuBLASLt", false, reason,
          "only makes engines faster: " + library.problem.substr(reason.size() + 2)};
}

/// What building a model asks of the library and the GPU, for a graph of one node.
std::vector<std::byte> build_probe(TensorRtHost& host) {
  const TemporaryFolder folder(std::filesystem::temp_directory_path());
  const std::filesystem::path path = folder.path() / "probe.onnx";
  Graph graph("probe");
  const Value x = graph.add_input("x", DType::kF32, {Dim("N")});
  graph.add_output("y", add_relu(graph, "/relu", x));
  graph.save(path);
  PlanSettings settings;
  settings.profiles = {{{"x", {{1}, {2}, {4}}}}};
  settings.optimization_level = 0;
  return host.api->build(path, settings).bytes;
}

void run_probe(TensorRtHost& host, std::span<const std::byte> plan) {
  static_cast<void>(operator_kernels());  // this program's own kernels
  const auto engine =
      make_tensorrt_engine(*host.api->load(plan), "the engine of one node", host.device);
  const Tensor input = Tensor::from_f32({2}, std::array{-1.0F, 2.0F});
  const auto outputs = engine->run({{"x", &input}});
  const auto y = outputs.at("y").f32();
  if (y[0] != 0.0F || y[1] != 2.0F) {
    throw Error(ErrorCode::kInternal, "an engine of one node gives wrong numbers");
  }
}

/// Where the library cannot build, no engine is there to be run; then loading it has to do.
void try_engines(EngineSupport& support, bool parser) {
  const auto host = open_tensorrt(parser);
  support.library = std::string(name_of(host->api->flavour())) + " " + host->api->version();
  if (!parser) {
    static_cast<void>(operator_kernels());
    support.runs = true;
    return;
  }
  const std::vector<std::byte> plan = build_probe(*host);
  support.builds = true;
  run_probe(*host, plan);
  support.runs = true;
}

std::string first_missing(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    if (!finding.ok) return finding.name + ": " + finding.detail;
  }
  return "";
}

}  // namespace

EngineSupport probe_engine_support() {
  EngineSupport support;
  const bool has_gpu = look_at_gpus(support.findings);
  look_at_libraries(support);
  support.findings.push_back(check_cublaslt());
  if (!has_gpu) {
    support.reason = first_missing(support.findings);
    return support;
  }
  try {
    const TensorRtLibraryInfo library = choose_tensorrt(false);
    bool parser = true;
    try {
      static_cast<void>(choose_tensorrt(true));
    } catch (const Error& error) {
      support.reason = reason_of(error.what());
      parser = false;
    }
    try_engines(support, parser);
    support.findings.push_back(
        {"engines", true, parser ? "one of one node was built and run" : "can be loaded", ""});
  } catch (const std::exception& error) {
    support.reason = reason_of(error.what());
    support.findings.push_back({"engines", false, error.what(), kInstallTensorRt});
  }
  return support;
}

std::string describe(const EngineSupport& support) {
  std::string text;
  if (support.builds && support.runs) {
    text = "builds and runs engines with " + support.library;
  } else if (support.runs) {
    text =
        "runs engines with " + support.library + ", but cannot build any (" + support.reason + ")";
  } else if (support.builds) {
    text =
        "builds engines with " + support.library + ", but cannot run any (" + support.reason + ")";
  } else {
    text = "cannot build or run engines (" + support.reason + ")";
  }
  return text + (support.builds_rtx ? "; builds engines for TensorRT-RTX" : "");
}

}  // namespace sam3trt
