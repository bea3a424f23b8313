#include "cuda/cublaslt.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolderVariable = "SAM3TRT_CUBLASLT_DIR";
constexpr const char* kPackagesVariable = "SAM3TRT_CUBLASLT_PACKAGES";
constexpr std::array<const char*, 2> kNames = {"libcublasLt.so.13", "libcublasLt.so.12"};
constexpr const char* kAdvice =
    "; install libcublas-13-0 (or libcublas-12-9) from NVIDIA's repository or nvidia-cublas from "
    "PyPI, and name its folder in SAM3TRT_CUBLASLT_DIR where it is not found by itself";

/// Statuses of cublas_api.h whose cause is the machine, not this program.
constexpr std::array kMachineStatuses = {
    1,  // CUBLAS_STATUS_NOT_INITIALIZED
    3,  // CUBLAS_STATUS_ALLOC_FAILED
    8,  // CUBLAS_STATUS_ARCH_MISMATCH
};

std::string text_of(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

std::string last_problem(const std::string& library) {
  const char* reason = ::dlerror();
  return reason != nullptr ? reason : library + " cannot be loaded";
}

/// Paths to open, in their order.
std::vector<std::string> places() {
  std::vector<fs::path> folders;
  const char* folder = std::getenv(kFolderVariable);
  if (folder != nullptr && *folder != '\0') {
    folders.emplace_back(folder);
  } else {
    folders.emplace_back();
    const char* packages = std::getenv(kPackagesVariable);
    std::stringstream list(packages == nullptr ? "" : packages);
    for (std::string each; std::getline(list, each, ':');) {
      if (!each.empty()) folders.emplace_back(each);
    }
  }
  std::vector<std::string> paths;
  for (const fs::path& each : folders) {
    for (const char* name : kNames) paths.push_back((each / name).string());
  }
  return paths;
}

std::string file_of(void* symbol, const std::string& library) {
  Dl_info info{};
  return ::dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : library;
}

std::string nowhere() {
  const char* folder = std::getenv(kFolderVariable);
  if (folder == nullptr || *folder == '\0') return "it is not installed";
  return "it is not in " + std::string(folder) + ", which " + kFolderVariable + " names";
}

/// The first place that has it, and why those before it cannot be used.
CublasLtInfo look() {
  CublasLtInfo info;
  for (const std::string& path : places()) {
    void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const std::string reason = last_problem(path);
      std::error_code ignored;
      // The system's folders are searched by the loader, which says so when a file is missing.
      const bool missing = path.find('/') == std::string::npos
                               ? reason.starts_with(path + ": cannot open shared object")
                               : !fs::exists(path, ignored);
      if (!missing) info.problem = reason;
      continue;
    }
    auto* version = reinterpret_cast<size_t (*)()>(::dlsym(handle, "cublasLtGetVersion"));
    if (version == nullptr) {
      info.problem = path + " is not cuBLASLt";
      continue;
    }
    const size_t number = version();
    if (number < CublasLt::kOldest) {
      info.problem = path + " is version " + text_of(number) + ", older than " +
                     text_of(CublasLt::kOldest) + ", the oldest that is supported";
      continue;
    }
    return {file_of(reinterpret_cast<void*>(version), path), text_of(number), ""};
  }
  if (info.problem.empty()) info.problem = nowhere();
  info.problem += kAdvice;
  return info;
}

}  // namespace

CublasLt::CublasLt(const std::string& library, const CudaDriver& driver)
    : driver_(driver), file_(library) {
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    throw Error(ErrorCode::kUnavailable, "no cuBLASLt: " + last_problem(library) + kAdvice);
  }
  std::string missing;
  const auto note = [&](const char* name) {
    missing += std::string(missing.empty() ? "" : ", ") + name;
  };
  const auto resolve = [&]<typename... Args>(CublasLtCall<Args...>& call) {
    call.library_ = this;
    call.function_ =
        reinterpret_cast<typename CublasLtCall<Args...>::Function>(::dlsym(handle, call.name_));
    if (call.function_ == nullptr) note(call.name_);
  };
  const auto resolve_all = [&](auto&... calls) { (resolve(calls), ...); };
  resolve_all(create, descriptor_create, descriptor_destroy, descriptor_set, layout_create,
              layout_destroy, preference_create, preference_destroy, preference_set, heuristic,
              algorithm_check, algorithm_get, algorithm_set, matmul);
  status_name_ = reinterpret_cast<const char* (*)(int)>(::dlsym(handle, "cublasLtGetStatusName"));
  auto* get_version = reinterpret_cast<size_t (*)()>(::dlsym(handle, "cublasLtGetVersion"));
  if (status_name_ == nullptr) note("cublasLtGetStatusName");
  if (get_version == nullptr) note("cublasLtGetVersion");
  if (!missing.empty()) {
    throw Error(ErrorCode::kUnavailable, library + " lacks " + missing + kAdvice);
  }
  version_ = get_version();
  if (version_ < kOldest) {
    throw Error(ErrorCode::kUnavailable, library + " is version " + version_text() +
                                             ", older than " + text_of(kOldest) +
                                             ", the oldest that is supported" + kAdvice);
  }
}

std::string CublasLt::version_text() const { return text_of(version_); }

void* CublasLt::handle() const {
  int device = 0;
  driver_.context_get_device(&device);
  const std::scoped_lock lock(mutex_);
  void*& handle = handles_[device];
  if (handle == nullptr) create(&handle);
  return handle;
}

std::string CublasLt::describe(int status) const {
  const char* name = status_name_(status);
  return name != nullptr ? name : "status " + std::to_string(status);
}

void CublasLt::fail(const char* name, int status) const {
  const bool machine = std::ranges::find(kMachineStatuses, status) != kMachineStatuses.end();
  throw Error(
      machine ? ErrorCode::kUnavailable : ErrorCode::kInternal,
      std::string(name) + " of cuBLASLt " + version_text() + " failed: " + describe(status) +
          (machine ? "; nvidia-smi shows whether GPU and driver are free and new enough" : ""));
}

CublasLtInfo find_cublaslt() { return look(); }

const CublasLt& cublaslt_library() {
  static const CublasLt kLibrary([] {
    const CublasLtInfo info = look();
    if (!info.problem.empty()) {
      throw Error(ErrorCode::kUnavailable, "no cuBLASLt that can be used: " + info.problem);
    }
    return info.file;
  }());
  return kLibrary;
}

}  // namespace sam3trt
