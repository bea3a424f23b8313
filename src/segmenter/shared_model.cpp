#include "segmenter/shared_model.hpp"

#include <algorithm>
#include <utility>

#include "gpu/gpu_backend.hpp"

namespace sam3trt {

SharedModel::SharedModel(const ModelFiles& files, const LoadOptions& options)
    : checkpoint_(files.checkpoint_sha256),
      semantics_(files.semantics),
      config_(files.config),
      tokenizer_(Tokenizer::load(files.tokenizer)) {
  if (files.form == ModelForm::kGraphs) {
    HostModel model = load_model(files, options);
    backend_ = model.backend;
    engines_ = std::make_shared<SharedEngines>(std::move(model.engines));
    return;
  }
  backend_ = "tensorrt";
  check_set(files, options);
  verified_ = all_verified(files);
  EngineFiles engines = open_engines(files);  // hashed while CUDA and TensorRT start
  host_ = open_tensorrt_for(files.at(Component::kVisionEncoder), options.device);
  gpu_ = std::make_shared<const GpuModel>(host_->device,
                                          load_plans(*host_, std::move(engines), options), config_,
                                          semantics_, late_plans(*host_, files, options));
}

SharedModel::SharedModel(std::shared_ptr<const GpuModel> gpu, Tokenizer tokenizer)
    : backend_("tensorrt"),
      semantics_(gpu->semantics()),
      config_(gpu->config()),
      tokenizer_(std::move(tokenizer)),
      gpu_(std::move(gpu)) {}

SharedModel::SharedModel(std::shared_ptr<SharedEngines> engines, Tokenizer tokenizer,
                         const ModelConfig& config, Semantics semantics)
    : backend_("openvino"),
      semantics_(semantics),
      config_(config),
      tokenizer_(std::move(tokenizer)),
      engines_(std::move(engines)) {}

CallLimits SharedModel::limits() const { return gpu_ ? gpu_->limits() : make_backend()->limits(); }

bool SharedModel::can_track() const { return has_all_of(Task::kTrack); }

uint64_t SharedModel::device_memory() const { return gpu_ ? gpu_->device().used_memory() : 0; }

bool SharedModel::has_all_of(Task task) const {
  return std::ranges::all_of(components(), [&](const ComponentInfo& info) {
    if (!serves(info.id, task)) return true;
    return gpu_ ? gpu_->has(info.id) : engines_->engines.has(info.id);
  });
}

void SharedModel::free_text_encoder() const {
  if (gpu_) gpu_->free_text_encoder();
}

std::unique_ptr<Backend> SharedModel::make_backend() const {
  if (gpu_) return std::make_unique<GpuBackend>(gpu_);
  return std::make_unique<CpuBackend>(engines_, config_, semantics_, SessionLimits{});
}

std::shared_ptr<Backend> SharedModel::lend_backend() const {
  if (!gpu_) return make_backend();
  std::unique_ptr<Backend> backend;
  {
    const std::lock_guard lock(spare_->mutex);
    backend = std::move(spare_->backend);
  }
  if (!backend) backend = make_backend();
  const auto give_back = [spare = std::weak_ptr(spare_)](Backend* returned) {
    std::unique_ptr<Backend> surplus(returned);
    const std::shared_ptr<Spare> kept = spare.lock();
    if (!kept) return;
    const std::lock_guard lock(kept->mutex);
    if (!kept->backend) kept->backend = std::move(surplus);
  };
  return {backend.release(), give_back};
}

}  // namespace sam3trt
