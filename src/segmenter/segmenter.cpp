#include "segmenter/segmenter.hpp"

#include <optional>

#include "gpu/gpu_session.hpp"
#include "runtime/session.hpp"

namespace sam3trt {

class Segmenter::Impl {
 public:
  Impl(const ModelFiles& files, const LoadOptions& options) : semantics_(files.semantics) {
    if (files.form == ModelForm::kGraphs) {
      LoadedModel model = load_model(files, options);
      cpu_.emplace(std::move(model.engines), Tokenizer::load(files.tokenizer), files.config,
                   files.semantics);
      return;
    }
    backend_ = "tensorrt";
    check_set(files, options);
    verified_ = all_verified(files);
    EngineFiles engines = open_engines(files);
    host_ = open_tensorrt_for(files.components.at(Component::kVisionEncoder));
    LoadedPlans plans = load_plans(*host_, std::move(engines), options, ActivationMemory::kCallers);
    const auto take = [&](Component component) { return std::move(plans.at(component)); };
    gpu_.emplace(host_->device,
                 GpuPlans{take(Component::kVisionEncoder), take(Component::kTextEncoder),
                          take(Component::kGeometryEncoder), take(Component::kDetector),
                          take(Component::kMaskHead)},
                 Tokenizer::load(files.tokenizer), files.config, files.semantics);
  }

  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const Thresholds& thresholds) {
    return gpu_ ? gpu_->run(requests, thresholds) : cpu_->run(requests, thresholds);
  }

  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts) {
    return gpu_ && gpu_->keep_only_texts(prompts);
  }

  [[nodiscard]] size_t max_images() const { return gpu_ ? gpu_->max_images() : 1; }
  [[nodiscard]] const std::string& backend() const { return backend_; }
  [[nodiscard]] Semantics semantics() const { return semantics_; }
  [[nodiscard]] bool verified() const { return verified_; }
  [[nodiscard]] uint64_t device_memory() const { return host_ ? host_->device.used_memory() : 0; }

 private:
  std::string backend_ = "openvino";
  Semantics semantics_;
  bool verified_ = true;
  std::unique_ptr<TensorRtHost> host_;
  std::optional<GpuSession> gpu_;
  std::optional<Session> cpu_;
};

Segmenter::Segmenter(const std::filesystem::path& folder, const LoadOptions& options)
    : Segmenter(find_model_files(folder), options) {}
Segmenter::Segmenter(const ModelFiles& files, const LoadOptions& options)
    : impl_(std::make_unique<Impl>(files, options)) {}
Segmenter::~Segmenter() = default;
Segmenter::Segmenter(Segmenter&&) noexcept = default;
Segmenter& Segmenter::operator=(Segmenter&&) noexcept = default;

std::vector<ImageResult> Segmenter::run(std::span<const ImageRequest> requests,
                                        const Thresholds& thresholds) {
  return impl_->run(requests, thresholds);
}

bool Segmenter::keep_only_texts(std::span<const Prompt> prompts) {
  return impl_->keep_only_texts(prompts);
}

ImageResult Segmenter::run(const Image& image, std::span<const Prompt> prompts,
                           const Thresholds& thresholds) {
  const ImageRequest request{&image, prompts};
  return std::move(impl_->run(std::span(&request, 1), thresholds).front());
}

size_t Segmenter::max_images() const { return impl_->max_images(); }
const std::string& Segmenter::backend() const { return impl_->backend(); }
Semantics Segmenter::semantics() const { return impl_->semantics(); }
bool Segmenter::verified() const { return impl_->verified(); }
uint64_t Segmenter::device_memory() const { return impl_->device_memory(); }

}  // namespace sam3trt
