#include "compile/compile_apart.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <thread>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/child_process.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/temporary.hpp"
#include "segmenter/engines.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

/// The files of one build in its folder.
struct CompilerFiles {
  explicit CompilerFiles(const fs::path& folder)
      : settings(folder / "settings.json"),
        plan(folder / "plan"),
        timing_cache(folder / "timing"),
        new_timing_cache(folder / "timing.new") {}

  fs::path settings;
  fs::path plan;
  fs::path timing_cache;  ///< Of earlier builds.
  fs::path new_timing_cache;
};

void write(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::vector<std::byte> read(const fs::path& path) {
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

std::string write_settings(TensorRtFlavour flavour, const fs::path& onnx,
                           const PlanSettings& settings) {
  Json profiles = Json::array();
  for (const Profile& profile : settings.profiles) {
    Json& shapes = profiles.emplace_back(Json::object());
    for (const auto& [name, shape] : profile) shapes[name] = {shape.min, shape.opt, shape.max};
  }
  return Json{{"flavour", static_cast<int>(flavour)},
              {"onnx", onnx.string()},
              {"profiles", std::move(profiles)},
              {"strongly_typed", settings.strongly_typed},
              {"allow_tf32", settings.allow_tf32},
              {"optimization_level", settings.optimization_level},
              {"workspace_bytes", settings.workspace_bytes},
              {"compute_capability", settings.compute_capability}}
      .dump();
}

PlanSettings read_settings(const Json& json, const CompilerFiles& files) {
  PlanSettings settings;
  for (const Json& shapes : json.at("profiles")) {
    Profile& profile = settings.profiles.emplace_back();
    for (const auto& [name, sizes] : shapes.items()) {
      profile[name] = {sizes.at(0), sizes.at(1), sizes.at(2)};
    }
  }
  settings.strongly_typed = json.at("strongly_typed");
  settings.allow_tf32 = json.at("allow_tf32");
  settings.optimization_level = json.at("optimization_level");
  settings.workspace_bytes = json.at("workspace_bytes");
  settings.compute_capability = json.at("compute_capability");
  settings.timing_cache = read(files.timing_cache);
  return settings;
}

/// Calls `line` for each line that comes out of a pipe, until its end.
void read_lines(int descriptor, const std::function<void(const std::string& line)>& line) {
  std::array<char, 4096> buffer{};
  std::string rest;
  while (true) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    rest.append(buffer.data(), static_cast<size_t>(count));
    for (size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      line(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
  }
  if (!rest.empty()) line(rest);
}

[[noreturn]] void throw_cancelled() {
  throw Error(ErrorCode::kInternal, "the build was cancelled");
}

/// Of a process that did not say what is wrong.
std::string death_of(int status) {
  if (WIFSIGNALED(status)) return std::string("died of: ") + ::strsignal(WTERMSIG(status));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

/// One process that compiles.
class Compiler {
 public:
  Compiler(const fs::path& program, const CompilerFiles& files)
      : child_({.program = program.string(),
                .arguments = {"compile-plan", files.settings.string()},
                .input = ChildInput::kNothing}) {}

  /// Waits for its end. Throws what went wrong.
  void run(const std::string& name, const BuildProgress& progress) {
    std::jthread messages([this] {
      read_lines(child_.messages(), [&](const std::string& line) { last_message_ = line; });
    });
    read_lines(child_.output(), [&](const std::string& line) { take(line, progress); });
    messages.join();
    const int status = child_.wait();
    if (failure_) std::rethrow_exception(failure_);
    if (cancelled_) throw_cancelled();
    if (status == 0) return;
    throw Error(ErrorCode::kInternal,
                "the compiler of " + name + " " + death_of(status) +
                    (last_message_.empty() ? "" : "; it said last: " + last_message_));
  }

 private:
  void take(const std::string& line, const BuildProgress& progress) {
    if (failure_ || cancelled_) return;
    try {
      const Json json = Json::parse(line);
      if (json.contains("error")) {
        throw Error(static_cast<ErrorCode>(json.at("code").get<int>()),
                    json.at("error").get<std::string>());
      }
      const auto phase = json.at("phase").get<std::string>();
      if (!progress || progress(phase, json.at("step"), json.at("steps"))) return;
      cancelled_ = true;
    } catch (const Json::exception& error) {
      failure_ = std::make_exception_ptr(
          Error(ErrorCode::kInternal, std::string("the compiler wrote: ") + error.what()));
    } catch (...) {
      failure_ = std::current_exception();
    }
    child_.kill();
  }

  std::string last_message_;
  std::exception_ptr failure_;
  bool cancelled_ = false;
  ChildProcess child_;
};

class ApartApi : public TensorRtApi {
 public:
  ApartApi(std::shared_ptr<TensorRtApi> api, fs::path program, size_t most)
      : api_(std::move(api)),
        program_(std::move(program)),
        turns_(static_cast<std::ptrdiff_t>(std::clamp<size_t>(most, 1, kMostProcesses))) {}

  [[nodiscard]] TensorRtFlavour flavour() const override { return api_->flavour(); }
  [[nodiscard]] std::string version() const override { return api_->version(); }
  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(std::span<const std::byte> plan) override {
    return api_->load(plan);
  }

  [[nodiscard]] Plan build(const fs::path& onnx, const PlanSettings& settings) override {
    wait_for_turn(settings.progress);
    struct Turn {
      std::counting_semaphore<kMostProcesses>& turns;
      ~Turn() { turns.release(); }
    } const turn{turns_};
    const TemporaryFolder folder(onnx.has_parent_path() ? onnx.parent_path() : ".");
    const CompilerFiles files(folder.path());
    const std::string text = write_settings(flavour(), onnx, settings);
    write(files.settings, std::as_bytes(std::span(text)));
    write(files.timing_cache, settings.timing_cache);
    Compiler(program_, files).run(onnx.string(), settings.progress);
    return {read(files.plan), read(files.new_timing_cache)};
  }

 private:
  static constexpr std::ptrdiff_t kMostProcesses = 64;

  /// Whoever wants an end to the build says so where it would report its progress.
  void wait_for_turn(const BuildProgress& progress) {
    while (!turns_.try_acquire_for(std::chrono::milliseconds(100))) {
      if (progress && !progress("waiting", 0, 0)) throw_cancelled();
    }
  }

  std::shared_ptr<TensorRtApi> api_;
  fs::path program_;
  std::counting_semaphore<kMostProcesses> turns_;
};

/// Writes one line at a time; TensorRT reports progress from threads of its own.
class Lines {
 public:
  explicit Lines(std::ostream& out) : out_(out) {}

  void write(const Json& line) {
    const std::lock_guard lock(mutex_);
    out_ << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }

  int fail(ErrorCode code, const char* what) {
    write({{"error", what}, {"code", static_cast<int>(code)}});
    return 1;
  }

 private:
  std::mutex mutex_;
  std::ostream& out_;
};

Json read_json(const fs::path& path) {
  const MappedFile file(path);
  return Json::parse(reinterpret_cast<const char*>(file.bytes().data()),
                     reinterpret_cast<const char*>(file.bytes().data()) + file.bytes().size());
}

/// Turns what `work` throws into a line.
int reporting(Lines& lines, const std::function<void()>& work) {
  try {
    work();
    return 0;
  } catch (const Error& error) {
    return lines.fail(error.code(), error.what());
  } catch (const std::exception& error) {
    return lines.fail(ErrorCode::kInternal, error.what());
  }
}

}  // namespace

std::shared_ptr<TensorRtApi> compile_apart(std::shared_ptr<TensorRtApi> api, fs::path program,
                                           size_t most) {
  return std::make_shared<ApartApi>(std::move(api), std::move(program), most);
}

int run_compiler(TensorRtApi& api, const fs::path& settings_file, std::ostream& out) {
  Lines lines(out);
  return reporting(lines, [&] {
    const Json json = read_json(settings_file);
    const CompilerFiles files(settings_file.parent_path());
    PlanSettings settings = read_settings(json, files);
    settings.progress = [&](std::string_view phase, int step, int steps) {
      lines.write({{"phase", phase}, {"step", step}, {"steps", steps}});
      return true;  // whoever wants an end to it kills this process
    };
    const Plan plan = api.build(json.at("onnx").get<std::string>(), settings);
    write(files.plan, plan.bytes);
    write(files.new_timing_cache, plan.timing_cache);
  });
}

int run_compiler(const fs::path& settings_file, std::ostream& out) {
  // The float32 reference, which every engine waits for, has the processor first: it runs beside
  // this process, on as many threads as there are cores, and is as slow as the slowest of them.
  constexpr int kNiceness = 10;
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNiceness));
  Lines lines(out);
  int code = 1;
  const int failed = reporting(lines, [&] {
    const auto flavour =
        static_cast<TensorRtFlavour>(read_json(settings_file).at("flavour").get<int>());
    std::unique_ptr<TensorRtHost> host;
    std::shared_ptr<TensorRtApi> api;
    if (flavour == TensorRtFlavour::kTensorRtRtx) {
      api = load_tensorrt(true, flavour);
    } else {
      host = open_tensorrt(true);
      api = host->api;
    }
    code = run_compiler(*api, settings_file, out);
  });
  return failed == 0 ? code : failed;
}

}  // namespace sam3trt
