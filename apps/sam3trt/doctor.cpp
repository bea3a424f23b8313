#include <array>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "base/temporary.hpp"
#include "commands.hpp"
#include "engine_support.hpp"
#include "hub_access.hpp"
#include "machine.hpp"
#include "onnx/ops.hpp"
#include "openvino/openvino_engine.hpp"
#include "sam3trt/version.hpp"
#include "video/ffmpeg_program.hpp"

namespace sam3trt {
namespace {

/// Runs a graph of one node: shows that OpenVINO finds its CPU plugin and its ONNX reader.
void try_openvino() {
  const TemporaryFolder folder(std::filesystem::temp_directory_path());
  const std::filesystem::path path = folder.path() / "probe.onnx";
  Graph graph("probe");
  const Value x = graph.add_input("x", DType::kF32, {Dim(2)});
  graph.add_output("y", add_relu(graph, "/relu", x));
  graph.save(path);
  const Tensor input = Tensor::from_f32({2}, std::array{-1.0F, 2.0F});
  const auto outputs = load_openvino_engine(path)->run({{"x", &input}});
  const auto y = outputs.at("y").f32();
  if (y[0] != 0.0F || y[1] != 2.0F) {
    throw Error(ErrorCode::kInternal, "a graph of one node gives wrong numbers");
  }
}

Finding check_openvino() {
  if (!has_openvino()) {
    return {
        "OpenVINO (CPU backend)", false, "this sam3trt was built without it",
        "needed to run graphs on the CPU and to verify engines: build with SAM3TRT_OPENVINO=ON"};
  }
  try {
    try_openvino();
    return {"OpenVINO (CPU backend)", true, openvino_version(), ""};
  } catch (const std::exception& error) {
    return {"OpenVINO (CPU backend)", false, error.what(), "make setup && make"};
  }
}

Finding check_cpu() {
  const CpuFacts cpu = probe_cpu();
  std::string detail = cpu.name + ", " + std::to_string(cpu.threads) + " threads";
  if (cpu.has_avx512) detail += ", AVX-512";
  if (cpu.has_avx2 && !cpu.has_avx512) detail += ", AVX2";
  return {"processor", true, detail, ""};
}

Finding check_memory() {
  const CpuFacts cpu = probe_cpu();
  return {"memory", true,
          in_gigabytes(cpu.memory_bytes) + ", " + in_gigabytes(cpu.available_bytes) + " available",
          ""};
}

Finding check_checkpoint() {
  const std::filesystem::path folder = "models/sam3";
  std::error_code ignored;
  if (std::filesystem::is_regular_file(folder / "config.json", ignored)) {
    return {"checkpoint", true, folder.string(), ""};
  }
  return {"checkpoint", false, "none in " + folder.string(), "sam3trt download"};
}

Finding check_video() {
  try {
    std::string found;
    for (const char* name : {"ffmpeg", "ffprobe"}) {
      found += (found.empty() ? "" : ", ") + find_ffmpeg(name, "videos");
    }
    return {"videos (ffmpeg)", true, found, ""};
  } catch (const Error&) {
    return {"videos (ffmpeg)", false, "the programs ffmpeg and ffprobe are not installed",
            "needed for videos other than folders of images: apt-get install ffmpeg"};
  }
}

Finding check_disk() {
  std::error_code error;
  const auto space = std::filesystem::space(".", error);
  if (error) return {"disk", false, error.message(), "run in another folder"};
  return {"disk", true, in_gigabytes(space.available) + " free in this folder", ""};
}

void print_table(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    std::cout << std::left << std::setw(24) << finding.name << std::setw(9)
              << (finding.ok ? "ok" : "missing") << finding.detail << "\n";
    if (!finding.fix.empty()) std::cout << std::string(33, ' ') << finding.fix << "\n";
  }
}

void print_json(const std::vector<Finding>& findings, bool ready, const EngineSupport& engines) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"name", finding.name},
                      {"ok", finding.ok},
                      {"detail", finding.detail},
                      {"fix", finding.fix}});
  }
  const nlohmann::ordered_json document = {{"version", SAM3TRT_VERSION},
                                           {"ready", ready},
                                           {"engines",
                                            {{"build", engines.builds},
                                             {"run", engines.runs},
                                             {"build_rtx", engines.builds_rtx},
                                             {"library", engines.library},
                                             {"reason", engines.reason}}},
                                           {"checks", checks}};
  std::cout << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
            << "\n";
}

void run_doctor(CommandContext& context) {
  constexpr int kUnavailableExitCode = 3;
  const Finding openvino = check_openvino();
  std::vector<Finding> findings = {check_cpu(), check_memory(), openvino};
  const EngineSupport engines = probe_engine_support();
  findings.insert(findings.end(), engines.findings.begin(), engines.findings.end());
  if (const auto token = check_hub_token()) findings.push_back(*token);
  findings.push_back(check_checkpoint());
  findings.push_back(check_video());
  findings.push_back(check_disk());
  if (context.json) {
    print_json(findings, openvino.ok, engines);
  } else {
    print_table(findings);
    std::cout << (openvino.ok ? "ready: exports and runs on the CPU; "
                              : "not ready: the CPU backend does not work; ")
              << describe(engines) << "\n";
  }
  if (!openvino.ok) context.exit_code = kUnavailableExitCode;
}

}  // namespace

void add_doctor_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Say what this machine can do, what is missing and how to fix it");
  command->footer("Example:\n  sam3trt doctor --json");
  command->callback([&context]() { run_doctor(context); });
}

}  // namespace sam3trt
