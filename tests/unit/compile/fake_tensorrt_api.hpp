#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "onnx/graph_info.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// Compiles anything to the bytes "plan N" and remembers what it was given.
class FakeTensorRt : public TensorRtApi {
 public:
  [[nodiscard]] TensorRtFlavour flavour() const override { return TensorRtFlavour::kTensorRt10; }
  [[nodiscard]] std::string version() const override { return own_version; }
  [[nodiscard]] Plan build(const std::filesystem::path& onnx,
                           const PlanSettings& settings) override {
    ++builds;
    const auto metadata = read_graph_info(onnx).metadata;
    if (metadata.contains("sam3trt.recipe")) recipes.push_back(metadata.at("sam3trt.recipe"));
    strongly_typed = settings.strongly_typed;
    tf32.push_back(settings.allow_tf32);
    profiles = settings.profiles.size();
    caches.push_back(settings.timing_cache.size());
    last_settings = settings;
    if (settings.progress && !settings.progress("phase", 1, 2)) {
      throw Error(ErrorCode::kInternal, "the build was cancelled");
    }
    const std::string text = "plan " + std::to_string(builds);
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {{data, data + text.size()}, std::vector<std::byte>(7)};
  }
  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(
      std::span<const std::byte> /*plan*/) override {
    throw Error(ErrorCode::kUnavailable, "no GPU");
  }

  std::string own_version = "10.6.0";
  int builds = 0;
  bool strongly_typed = true;
  size_t profiles = 0;
  std::vector<std::string> recipes;
  std::vector<size_t> caches;
  std::vector<bool> tf32;
  PlanSettings last_settings;
};

}  // namespace sam3trt
