#include "model_runners.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "cuda/driver.hpp"
#include "runtime/model_files.hpp"
#include "runtime/run_each.hpp"

namespace sam3trt {
namespace {

constexpr size_t kSessionsOfGpu = 2;

void run_images(Session& session, std::span<PipelineImage* const> images, const AskOf& ask_of,
                const DetectOptions& options) {
  std::vector<ImageRequest> requests;
  for (const PipelineImage* image : images) {
    const ImageAsk& ask = ask_of(*image);
    requests.push_back(
        {view_of(*image->pixels), ask.prompts, ask.objects, ask.multimask, ask.everything});
  }
  std::vector<ImageResult> results = run_each(
      requests, [&](std::span<const ImageRequest> some) { return session.run(some, options); });
  for (size_t i = 0; i < images.size(); ++i) {
    ImageResult& result = images[i]->result;
    results[i].path = std::move(result.path);
    results[i].timings_ms.decode = result.timings_ms.decode;
    result = std::move(results[i]);
  }
}

}  // namespace

ModelRunners::ModelRunners(const ModelFiles& files, const LoadOptions& options,
                           std::span<const int> devices, std::span<const Prompt> texts,
                           size_t images) {
  const bool on_gpu = files.form == ModelForm::kEngines;
  const size_t sessions = std::clamp<size_t>(images, 1, on_gpu ? kSessionsOfGpu : 1);
  LoadOptions chosen = options;
  for (const int device : devices) {
    chosen.device = device;
    models_.emplace_back(files, chosen);
    for (size_t i = 0; i < sessions; ++i) sessions_.emplace_back(models_.back());
  }
  // Saves memory where it can.
  for (Session& session : sessions_) static_cast<void>(session.keep_only_texts(texts));
}

std::vector<std::function<void(std::span<PipelineImage* const>)>> ModelRunners::steps(
    const AskOf& ask_of, const Thresholds& thresholds) {
  DetectOptions options;
  options.thresholds = thresholds;
  std::vector<std::function<void(std::span<PipelineImage* const>)>> steps;
  for (Session& session : sessions_) {
    steps.emplace_back([&session, ask_of, options](std::span<PipelineImage* const> images) {
      run_images(session, images, ask_of, options);
    });
  }
  return steps;
}

std::vector<int> parse_devices(const std::string& text) {
  std::vector<int> devices;
  if (text == "all") {
    for (const CudaDeviceInfo& gpu : list_cuda_devices()) devices.push_back(gpu.ordinal);
    return devices;
  }
  for (std::string_view rest = text;;) {
    const std::string_view part = rest.substr(0, rest.find(','));
    int device = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), device);
    if (error != std::errc() || end != part.data() + part.size() || device < 0 || device > 1023) {
      throw_bad_input("--device " + text +
                      ": expected a GPU counted from 0 (nvidia-smi), several such as 0,1, or all");
    }
    if (std::ranges::find(devices, device) != devices.end()) {
      throw_bad_input("--device " + text + ": names GPU " + std::to_string(device) + " twice");
    }
    devices.push_back(device);
    if (part.size() == rest.size()) return devices;
    rest.remove_prefix(part.size() + 1);
  }
}

std::vector<int> devices_for(const ModelFiles& files, const std::string& text) {
  return files.form == ModelForm::kEngines ? parse_devices(text) : std::vector<int>{0};
}

}  // namespace sam3trt
