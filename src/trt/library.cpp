#include "trt/library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

using Maker = std::shared_ptr<TensorRtApi> (*)(TensorRtEntryPoints);

// Which headers the build found (cmake/tensorrt.cmake).
#if SAM3TRT_HAS_TENSORRT_10
constexpr Maker kMake10 = make_tensorrt10;
#else
constexpr Maker kMake10 = nullptr;
#endif
#if SAM3TRT_HAS_TENSORRT_11
constexpr Maker kMake11 = make_tensorrt11;
#else
constexpr Maker kMake11 = nullptr;
#endif
#if SAM3TRT_HAS_TENSORRT_RTX
constexpr Maker kMakeRtx = make_tensorrt_rtx;
#else
constexpr Maker kMakeRtx = nullptr;
#endif

constexpr const char* kFolderVariable = "SAM3TRT_TENSORRT_DIR";
constexpr const char* kPackagesVariable = "SAM3TRT_TENSORRT_PACKAGES";
constexpr const char* kInstall =
    "install libnvinfer10, libnvinfer-plugin10 and libnvonnxparsers10 from NVIDIA's repository, or "
    "name the folder of the libraries in SAM3TRT_TENSORRT_DIR";
constexpr const char* kInstallRtx =
    "install tensorrt-rtx-cu13-libs from PyPI and name its folder in SAM3TRT_TENSORRT_DIR";

constexpr const char* kBuildWithHeaders =
    "build sam3trt again with them: run tools/tensorrt_headers, then make";

/// One of the libraries. All entry points are called through the classes of newer headers, so a
/// version must have every virtual function that flavour.cpp calls: the youngest are
/// getDeviceMemorySizeV2 and setDeviceMemoryV2 of TensorRT 10.1. What was run is 10.6 and RTX 1.7.
struct Names {
  TensorRtFlavour flavour;
  int major;
  int32_t oldest;  ///< As getInferLibVersion counts.
  const char* library;
  const char* parser;
  const char* install;
  Maker make;
};

constexpr std::array<Names, 3> kNames = {{
    {TensorRtFlavour::kTensorRt11, 11, 110000, "libnvinfer.so.11", "libnvonnxparser.so.11",
     kInstall, kMake11},
    {TensorRtFlavour::kTensorRt10, 10, 100600, "libnvinfer.so.10", "libnvonnxparser.so.10",
     kInstall, kMake10},
    {TensorRtFlavour::kTensorRtRtx, 1, 10700, "libtensorrt_rtx.so.1",
     "libtensorrt_onnxparser_rtx.so.1", kInstallRtx, kMakeRtx},
}};

/// The folder that the user names; empty: none, so that the system's folders are searched.
fs::path folder_of_user() {
  const char* folder = std::getenv(kFolderVariable);
  return folder == nullptr ? fs::path() : fs::path(folder);
}

/// Where libraries are looked for, the first place first; the empty path is the system's folders.
std::vector<fs::path> places() {
  if (const fs::path folder = folder_of_user(); !folder.empty()) return {folder};
  std::vector<fs::path> found = {fs::path()};
  const char* packages = std::getenv(kPackagesVariable);
  std::stringstream list(packages == nullptr ? "" : packages);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (!folder.empty()) found.emplace_back(folder);
  }
  return found;
}

struct Opened {
  std::shared_ptr<void> handle;
  std::string problem;  ///< Why it cannot be opened, though it is there.
};

/// Plans and threads of the library may outlive every object here, so it is never unloaded.
Opened open_library(const std::string& name, const fs::path& folder) {
  const std::string path = folder.empty() ? name : (folder / name).string();
  std::error_code ignored;
  if (!folder.empty() && !fs::exists(path, ignored)) return {};
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle != nullptr) return {{handle, [](void*) {}}, ""};
  const char* message = ::dlerror();
  const std::string reason = message == nullptr ? "it cannot be loaded" : message;
  const bool missing = folder.empty() && reason.starts_with(name + ": cannot open shared object");
  return {nullptr, missing ? "" : reason};
}

std::string missing_text(const std::string& name, const fs::path& folder) {
  if (folder.empty()) return name + " is not installed";
  return name + " is not in " + folder.string() +
         (folder == folder_of_user() ? ", which SAM3TRT_TENSORRT_DIR names" : "");
}

template <typename Function>
void find(Function*& function, const std::shared_ptr<void>& library, const char* name) {
  function = reinterpret_cast<Function*>(::dlsym(library.get(), name));
}

std::string file_of(const std::shared_ptr<void>& library, const char* name) {
  Dl_info info{};
  void* symbol = ::dlsym(library.get(), "getInferLibVersion");
  if (symbol == nullptr || ::dladdr(symbol, &info) == 0) return name;
  return info.dli_fname;
}

/// A library that is there, and what speaks against using it.
struct Candidate {
  TensorRtLibraryInfo info;
  TensorRtEntryPoints entry;
  fs::path folder;  ///< The place it comes from.
};

/// Says in `info` what speaks against the version.
void judge(const Names& names, int32_t version, TensorRtLibraryInfo& info) {
  info.version = version_text(version);
  if (version / 10000 != names.major) {
    info.problem = "is version " + info.version + ", not " + std::string(name_of(names.flavour));
  } else if (version < names.oldest) {
    info.problem = "is version " + info.version + ", older than " + version_text(names.oldest) +
                   ", the oldest that is supported";
  } else if (names.make == nullptr) {
    info.problem = "cannot be used, because this sam3trt was built without the headers of " +
                   std::string(name_of(names.flavour));
    info.fix = kBuildWithHeaders;
  }
}

/// The only function of the library that is called is getInferLibVersion.
std::optional<Candidate> look_at(const Names& names, const fs::path& folder) {
  Opened opened = open_library(names.library, folder);
  Candidate found;
  found.folder = folder;
  found.info = {names.flavour, names.library, "", opened.problem, "", names.install};
  if (!opened.handle) {
    if (opened.problem.empty()) return std::nullopt;
    found.info.problem = "cannot be loaded: " + opened.problem;
    return found;
  }
  found.info.library = file_of(opened.handle, names.library);
  found.entry.library = std::move(opened.handle);
  find(found.entry.create_builder, found.entry.library, "createInferBuilder_INTERNAL");
  find(found.entry.create_runtime, found.entry.library, "createInferRuntime_INTERNAL");
  find(found.entry.library_version, found.entry.library, "getInferLibVersion");
  find(found.entry.plugin_registry, found.entry.library, "getPluginRegistry");
  if (found.entry.create_runtime == nullptr || found.entry.library_version == nullptr) {
    found.info.problem = "is not " + std::string(name_of(names.flavour));
    return found;
  }
  judge(names, found.entry.library_version(), found.info);
  return found;
}

/// In the first place that has it.
std::optional<Candidate> look_at(const Names& names) {
  for (const fs::path& folder : places()) {
    if (auto found = look_at(names, folder)) return found;
  }
  return std::nullopt;
}

/// Adds the ONNX parser, which building needs, or says why there is none. It must come from where
/// the library does: a set from two places would be of two versions.
void add_parser(const Names& names, Candidate& candidate) {
  Opened opened = open_library(names.parser, candidate.folder);
  std::string& problem = candidate.info.parser_problem;
  if (!opened.handle) {
    problem = opened.problem.empty() ? missing_text(names.parser, candidate.folder)
                                     : std::string(names.parser) + ": " + opened.problem;
    return;
  }
  candidate.entry.parser = std::move(opened.handle);
  find(candidate.entry.create_parser, candidate.entry.parser, "createNvOnnxParser_INTERNAL");
  if (candidate.entry.create_parser == nullptr) {
    problem = std::string(names.parser) + " is not an ONNX parser of TensorRT";
  } else if (candidate.entry.create_builder == nullptr) {
    problem = candidate.info.library + " cannot build engines";
  }
}

std::string why_not(const Names& names, const std::optional<Candidate>& candidate) {
  return candidate ? candidate->info.library + " " + candidate->info.problem
                   : missing_text(names.library, folder_of_user());
}

const Names& names_of(TensorRtFlavour flavour) {
  return *std::ranges::find(kNames, flavour, &Names::flavour);
}

struct Choice {
  const Names* names;
  Candidate candidate;
};

Choice choose(bool parser, std::span<const TensorRtFlavour> flavours) {
  std::string reasons;
  std::string fix = names_of(flavours.front()).install;
  for (const TensorRtFlavour flavour : flavours) {
    const Names& names = names_of(flavour);
    std::optional<Candidate> candidate = look_at(names);
    if (!candidate || !candidate->info.problem.empty()) {
      const std::string reason = why_not(names, candidate);
      if (candidate) log(LogLevel::kInfo, reason);
      if (candidate) fix = candidate->info.fix;
      reasons += (reasons.empty() ? "" : "; ") + reason;
      continue;
    }
    if (parser) add_parser(names, *candidate);
    if (candidate->info.parser_problem.empty()) return {&names, std::move(*candidate)};
    throw Error(ErrorCode::kUnavailable, candidate->info.library + " is there, but " +
                                             candidate->info.parser_problem + "; " + names.install);
  }
  const std::string what =
      flavours.size() == 1 ? std::string(name_of(flavours.front())) : "TensorRT";
  throw Error(ErrorCode::kUnavailable, "no " + what + " that can be used: " + reasons + "; " + fix);
}

std::vector<TensorRtFlavour> flavours_for(std::optional<TensorRtFlavour> wanted) {
  if (wanted) return {*wanted};
  return {TensorRtFlavour::kTensorRt11, TensorRtFlavour::kTensorRt10};
}

}  // namespace

std::string_view name_of(TensorRtFlavour flavour) {
  switch (flavour) {
    case TensorRtFlavour::kTensorRt10:
      return "TensorRT 10";
    case TensorRtFlavour::kTensorRt11:
      return "TensorRT 11";
    case TensorRtFlavour::kTensorRtRtx:
      return "TensorRT-RTX";
  }
  return "TensorRT";
}

std::optional<TensorRtFlavour> flavour_named(std::string_view name) {
  for (const Names& names : kNames) {
    if (name == name_of(names.flavour)) return names.flavour;
  }
  return std::nullopt;
}

std::string version_text(int32_t number) {
  // 10000 * major + 100 * minor + patch since TensorRT 10; before, 1000 * major
  const int32_t major = number < 10000 ? number / 1000 : number / 10000;
  const int32_t minor = number < 10000 ? number / 100 % 10 : number / 100 % 100;
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(number % 100);
}

std::vector<TensorRtLibraryInfo> find_tensorrt_libraries() {
  std::vector<TensorRtLibraryInfo> found;
  for (const Names& names : kNames) {
    std::optional<Candidate> candidate = look_at(names);
    if (!candidate) continue;
    if (candidate->info.problem.empty()) add_parser(names, *candidate);
    found.push_back(std::move(candidate->info));
  }
  return found;
}

TensorRtLibraryInfo choose_tensorrt(bool parser, std::optional<TensorRtFlavour> wanted) {
  return choose(parser, flavours_for(wanted)).candidate.info;
}

std::shared_ptr<TensorRtApi> load_tensorrt(bool parser, std::optional<TensorRtFlavour> wanted) {
  Choice choice = choose(parser, flavours_for(wanted));
  return choice.names->make(std::move(choice.candidate.entry));
}

}  // namespace sam3trt
