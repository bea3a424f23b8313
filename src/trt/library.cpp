#include "trt/library.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "base/error.hpp"

namespace sam3trt {
namespace {

struct Names {
  TensorRtFlavour flavour;
  const char* library;
  const char* parser;
};

constexpr std::array<Names, 3> kNames = {{
    {TensorRtFlavour::kTensorRt11, "libnvinfer.so.11", "libnvonnxparser.so.11"},
    {TensorRtFlavour::kTensorRt10, "libnvinfer.so.10", "libnvonnxparser.so.10"},
    {TensorRtFlavour::kTensorRtRtx, "libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"},
}};

constexpr const char* kInstall =
    "install libnvinfer10, libnvinfer-plugin10 and libnvonnxparsers10 from NVIDIA's repository, or "
    "name the folder of the libraries in SAM3TRT_TENSORRT_DIR";
constexpr const char* kInstallRtx =
    "install tensorrt-rtx-cu13-libs from PyPI and name its folder in SAM3TRT_TENSORRT_DIR";

/// Plans and threads of the library may outlive every object here, so it is never unloaded.
std::shared_ptr<void> open_library(const char* name) {
  const char* folder = std::getenv("SAM3TRT_TENSORRT_DIR");
  void* handle = nullptr;
  if (folder != nullptr && *folder != '\0') {
    handle = ::dlopen((std::filesystem::path(folder) / name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_GLOBAL);
  return {handle, [](void*) {}};
}

template <typename Function>
void find(Function*& function, const std::shared_ptr<void>& library, const char* name) {
  function = reinterpret_cast<Function*>(::dlsym(library.get(), name));
}

std::optional<TensorRtEntryPoints> open_flavour(const Names& names) {
  TensorRtEntryPoints entry;
  entry.library = open_library(names.library);
  if (!entry.library) return std::nullopt;
  find(entry.create_builder, entry.library, "createInferBuilder_INTERNAL");
  find(entry.create_runtime, entry.library, "createInferRuntime_INTERNAL");
  find(entry.library_version, entry.library, "getInferLibVersion");
  find(entry.plugin_registry, entry.library, "getPluginRegistry");
  if (entry.create_runtime == nullptr || entry.library_version == nullptr) return std::nullopt;
  return entry;
}

std::shared_ptr<TensorRtApi> make(const Names& names, TensorRtEntryPoints entry, bool parser) {
  if (parser) {
    entry.parser = open_library(names.parser);
    if (entry.parser) find(entry.create_parser, entry.parser, "createNvOnnxParser_INTERNAL");
    if (entry.create_parser == nullptr || entry.create_builder == nullptr) {
      throw Error(ErrorCode::kUnavailable,
                  std::string(names.library) + " is there, but not " + names.parser + "; " +
                      (names.flavour == TensorRtFlavour::kTensorRtRtx ? kInstallRtx : kInstall));
    }
  }
  switch (names.flavour) {
    case TensorRtFlavour::kTensorRt10:
      return make_tensorrt10(std::move(entry));
    case TensorRtFlavour::kTensorRt11:
      return make_tensorrt11(std::move(entry));
    case TensorRtFlavour::kTensorRtRtx:
      return make_tensorrt_rtx(std::move(entry));
  }
  return nullptr;
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

std::string version_text(int32_t number) {
  // 10000 * major + 100 * minor + patch since TensorRT 10
  return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
         std::to_string(number % 100);
}

std::vector<TensorRtLibraryInfo> find_tensorrt_libraries() {
  std::vector<TensorRtLibraryInfo> found;
  for (const Names& names : kNames) {
    const auto entry = open_flavour(names);
    if (!entry) continue;
    found.push_back({names.flavour, names.library, version_text(entry->library_version())});
  }
  return found;
}

std::shared_ptr<TensorRtApi> load_tensorrt(bool parser) {
  for (const Names& names : kNames) {
    if (names.flavour == TensorRtFlavour::kTensorRtRtx) continue;
    auto entry = open_flavour(names);
    if (entry) return make(names, std::move(*entry), parser);
  }
  throw Error(ErrorCode::kUnavailable,
              std::string("no TensorRT (libnvinfer.so.11 or libnvinfer.so.10): ") + kInstall);
}

std::shared_ptr<TensorRtApi> load_tensorrt_rtx(bool parser) {
  const Names& names = kNames[2];
  auto entry = open_flavour(names);
  if (entry) return make(names, std::move(*entry), parser);
  throw Error(ErrorCode::kUnavailable,
              std::string("no TensorRT-RTX (libtensorrt_rtx.so.1): ") + kInstallRtx);
}

}  // namespace sam3trt
