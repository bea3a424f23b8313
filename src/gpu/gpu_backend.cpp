#include "gpu/gpu_backend.hpp"

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/tensor_cast.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

constexpr size_t kKeptTexts = 512;

const CudaDevice& made_current(const CudaDevice& device) {
  device.make_current();
  return device;
}

std::vector<MaskRequest> requests_of(std::span<const MaskPlane> wanted) {
  std::vector<MaskRequest> requests;
  requests.reserve(wanted.size());
  for (const auto& [plane, height, width] : wanted) requests.push_back({plane, height, width});
  return requests;
}

/// The memory of a tensor that is one component's own.
std::string own_memory(Component component, const std::string& name) {
  return std::string(name_of(component)) + "/" + name;
}

float logit_cut(LogitCut cut) {
  // The smallest number above 0, or the smallest logit whose probability is above one half.
  return cut == LogitCut::kAboveZero ? mask_cut(Semantics::kHf, 0.0F)
                                     : mask_cut(Semantics::kMeta, 0.5F);
}

class DeviceFeatures : public FeatureStore {
 public:
  struct Kept {
    Shape shape;
    DeviceBuffer memory;
  };

  [[nodiscard]] size_t size_bytes() const override {
    size_t bytes = 0;
    for (const auto& [name, kept] : tensors) bytes += kept.memory.size();
    return bytes;
  }

  std::map<std::string, Kept> tensors;
};

}  // namespace

GpuBackend::GpuBackend(std::shared_ptr<const GpuModel> model)
    : model_(std::move(model)),
      stream_(made_current(model_->device())),
      uploader_(model_->device()),
      activations_(model_->device()),
      texts_(*model_, std::max(kKeptTexts, model_->limits().prompts)),
      images_(
          model_->device(), model_->kernels(), model_->config(),
          type_of(model_->plan(Component::kVisionEncoder), "pixel_values").value_or(DType::kF32),
          model_->limits().images),
      detections_(model_->device(), model_->kernels(), model_->config().num_queries),
      masks_(model_->device(), model_->kernels(), model_->semantics()),
      counts_(model_->device(), model_->kernels()),
      bits_(model_->device(), model_->kernels()),
      cleaner_(model_->device(), model_->kernels()),
      overlaps_(model_->device(), model_->kernels()),
      object_masks_(model_->device(), model_->kernels(), Semantics::kMeta),
      kept_(model_->device(), model_->kernels()),
      logits_(model_->device()),
      host_outputs_(model_->device()) {
  for (const ComponentInfo& info : components()) {
    const bool detects = serves(info.id, Task::kDetect) && info.id != Component::kTextEncoder;
    if (detects) static_cast<void>(stage(info.id));
  }
}

/// TensorRT's contexts may free memory of the GPU in this thread.
GpuBackend::~GpuBackend() {
  const CudaDevice& device = model_->device();
  (void)device.driver().context_set_current.status(device.context()->handle());
  (void)device.driver().stream_synchronize.status(stream_.handle());
}

/// Few sizes occur, because a change of shapes costs more than places that stay free: the mask head
/// takes hardly longer for 64 masks than for 16.
int64_t GpuBackend::mask_slots(size_t count) const {
  const size_t most = model_->limits().masks;
  for (const size_t slots : {size_t{16}, size_t{64}}) {
    if (count <= slots) return static_cast<int64_t>(std::min(slots, most));
  }
  return static_cast<int64_t>(most);
}

void GpuBackend::check(const PreparedCall& call, MaskOutput /*masks*/) const { texts_.check(call); }

/// A call that fails may leave work in the stream that reads staging memory and writes device
/// memory; until that is done nothing may be used again, and texts whose features it was to compute
/// are unknown. So a call ends with an idle stream, also by an exception; where even waiting fails,
/// the next call waits before anything else, or fails in turn.
void GpuBackend::begin() {
  model_->device().make_current();
  if (!idle_) uploader_.wait(stream_);
  idle_ = false;
  used_stretches_ = 0;
}

void GpuBackend::end() {
  texts_.keep_new();
  idle_ = true;
}

void GpuBackend::recover() noexcept {
  texts_.forget_new();
  try {
    uploader_.wait(stream_);
    idle_ = true;
  } catch (const Error& error) {
    log(LogLevel::kInfo, std::string("waiting after a failure: ") + error.what());
  }
}

void GpuBackend::load_images(std::span<const ImageView> images) {
  images_.load(stream_, uploader_, images);
  const int64_t size = model_->config().image_size;
  tensors_["pixel_values"] = {{static_cast<int64_t>(images.size()), 3, size, size},
                              images_.pixel_values()};
}

GpuStage& GpuBackend::stage(Component component) {
  const auto found = stages_.find(component);
  if (found != stages_.end()) return found->second;
  return stages_
      .try_emplace(component, std::string(name_of(component)), model_->plan(component),
                   model_->device())
      .first->second;
}

/// The mask head and the components of clicks and videos count other rows than the detector; memory
/// of their own keeps addresses, so that graphs recorded for the one stay when the other's shape
/// changes.
void GpuBackend::put(Component component, const std::string& name, const Tensor& tensor) {
  const bool of_detector = serves(component, Task::kDetect) && component != Component::kMaskHead;
  const std::string memory = of_detector ? name : own_memory(component, name);
  tensors_[name] = {tensor.shape(), uploader_.upload(stream_, memory, tensor)};
}

void GpuBackend::put_texts(const PromptBatch& batch, const PreparedCall& call) {
  const DevicePointer features = texts_.features(stream_, uploader_, activations_, batch, call);
  tensors_["text_features"] = {{static_cast<int64_t>(batch.rows.size()),
                                model_->config().context_length, model_->config().detector_width},
                               features};
}

void GpuBackend::put_zeros(const std::string& name, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(element_count(shape)) * sizeof(float);
  DeviceBuffer& buffer = zeros_.try_emplace(name, model_->device()).first->second;
  buffer.grow(stream_, std::max<size_t>(bytes, 1));  // an object may have no pointers
  if (bytes > 0) fill_bytes(stream_, buffer.data(), std::byte{0}, bytes);
  tensors_[name] = {shape, buffer.data()};
}

void GpuBackend::put_output(Component component, const std::string& name, Component from,
                            const std::string& output) {
  if (stage(component).type_of(name) == stage(from).type_of(output)) {
    tensors_[name] = given(from, output);
  } else {
    put(component, name, get(from, output));  // as float32
  }
}

void GpuBackend::put_resized(Component component, const std::string& name,
                             std::span<const ResizedPlane> planes, int64_t side) {
  tensors_[name] = {{static_cast<int64_t>(planes.size()), 1, side, side},
                    kept_.resize(stream_, uploader_, own_memory(component, name), planes, side)};
}

/// What the engine is tuned for.
int64_t GpuBackend::padded_size(Component component, const std::string& input, size_t axis) {
  if (!stage(component).type_of(input)) return 0;
  return model_->plan(component).profile(input).opt.at(axis);
}

void GpuBackend::put_kept(Component component, const std::string& name,
                          std::span<const std::shared_ptr<const KeptTensor>> kept,
                          const Shape& shape) {
  const auto type = stage(component).type_of(name).value_or(DType::kF32);
  tensors_[name] = {shape, kept_.gather(stream_, uploader_, own_memory(component, name), kept,
                                        static_cast<size_t>(element_count(shape)), type)};
}

const GpuBackend::Placed& GpuBackend::placed(Component component, const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  throw_bad_input(std::string(name_of(component)) + ": nothing gives its input " + name +
                  "; export and build the model again");
}

void GpuBackend::run(Component component, const AxisSizes& sizes) {
  const ComponentInfo& info = info_of(component);
  GpuStage& stage = this->stage(component);
  for (const ComponentTensor& input : info.inputs) {
    const std::string name(input.name);
    const Placed& tensor = placed(component, name);
    stage.set_input(name, tensor.shape, tensor.address);
  }
  stage.run(stream_, activations_);
  for (const ComponentTensor& output : info.outputs) {
    const std::string name(output.name);
    if (!stage.type_of(name)) continue;
    const Placed tensor{shape_of(output, sizes), stage.output(name)};
    tensors_[name] = given_[component][name] = tensor;
  }
}

const GpuBackend::Placed& GpuBackend::given(Component component, const std::string& output) const {
  const auto run = given_.find(component);
  if (run == given_.end() || !run->second.contains(output)) {
    throw Error(ErrorCode::kInternal,
                "the " + std::string(name_of(component)) + " has not given " + output);
  }
  return run->second.at(output);
}

std::vector<std::shared_ptr<const KeptTensor>> GpuBackend::keep_rows(Component component,
                                                                     const std::string& output) {
  const Placed& rows = given(component, output);
  const auto type = stage(component).type_of(output).value_or(DType::kF32);
  const auto count = static_cast<size_t>(rows.shape.at(0));
  return kept_.keep(stream_, uploader_, {rows.address, type}, count,
                    static_cast<size_t>(element_count(rows.shape)) / count,
                    nonfinite_in(name_of(component), output));
}

std::shared_ptr<const KeptTensor> GpuBackend::restore(std::span<const uint16_t> values) {
  model_->device().make_current();
  return kept_.restore(stream_, uploader_, values);
}

/// Page-locked memory takes all parts before anything is waited for.
std::vector<Tensor> GpuBackend::read(Component component, std::span<const OutputPart> parts) {
  std::vector<Tensor> tensors;
  size_t bytes = 0;
  for (const OutputPart& part : parts) {
    const DType type = stage(component).type_of(part.output).value_or(DType::kF32);
    tensors.emplace_back(type, shape_of(part, given(component, part.output).shape));
    bytes += tensors.back().bytes().size();
  }
  host_outputs_.reserve(bytes);
  std::span<std::byte> free(host_outputs_.data(), bytes);
  for (size_t i = 0; i < parts.size(); ++i) {
    const DevicePointer address = given(component, parts[i].output).address;
    const size_t size = tensors[i].bytes().size();
    const std::vector<size_t>& rows = parts[i].rows;
    if (parts[i].row_size == 0) copy_to_host(stream_, free.first(size), address);
    for (size_t row = 0; parts[i].row_size > 0 && row < rows.size(); ++row) {
      const size_t row_bytes = size / rows.size();
      copy_to_host(stream_, free.subspan(row * row_bytes, row_bytes),
                   address + rows[row] * row_bytes);
    }
    free = free.subspan(size);
  }
  uploader_.wait(stream_);
  const std::byte* from = host_outputs_.data();
  for (Tensor& tensor : tensors) {
    std::ranges::copy_n(from, static_cast<std::ptrdiff_t>(tensor.bytes().size()),
                        tensor.bytes().begin());
    from += tensor.bytes().size();
    if (tensor.dtype() != DType::kF32) tensor = cast_tensor(tensor, DType::kF32);
  }
  return tensors;
}

std::vector<PromptDetections> GpuBackend::detections(std::span<const std::array<int64_t, 2>> sizes,
                                                     float threshold) {
  const auto address = [&](const char* name) { return placed(Component::kDetector, name).address; };
  return detections_.run(
      stream_, uploader_,
      {address("pred_logits"), address("presence_logits"), address("pred_boxes")}, sizes,
      threshold);
}

std::vector<FoundMask> GpuBackend::masks(std::span<const MaskPlane> wanted, int64_t planes,
                                         int64_t side, float threshold, MaskOutput output) {
  return masks_.run(stream_, uploader_, placed(Component::kMaskHead, "pred_masks").address, planes,
                    side, requests_of(wanted), mask_cut(model_->semantics(), threshold), output);
}

std::vector<FoundMask> GpuBackend::object_masks(std::span<const MaskPlane> wanted, int64_t planes,
                                                int64_t side) {
  return object_masks_.run(stream_, uploader_, placed(Component::kSamDecoder, "sam_masks").address,
                           planes, side, requests_of(wanted), logit_cut(LogitCut::kProbable));
}

std::vector<std::array<int64_t, 2>> GpuBackend::count_logits(std::span<const size_t> planes,
                                                             int64_t side, float high, float low) {
  return counts_.run(stream_, uploader_, placed(Component::kSamDecoder, "sam_masks").address,
                     side * side, planes, high, low);
}

std::vector<LogitPlane> GpuBackend::keep_planes(Component component, std::span<const size_t> planes,
                                                int64_t side) {
  return kept_.keep_planes(stream_, placed(component, masks_of(component)).address, planes,
                           static_cast<size_t>(side * side));
}

std::vector<std::vector<uint64_t>> GpuBackend::bits_above(Component component,
                                                          std::span<const size_t> planes,
                                                          int64_t side) {
  const char* masks = masks_of(component);
  const DevicePointer first = placed(component, masks).address;
  const auto bytes = static_cast<size_t>(side * side) * sizeof(float);
  std::vector<DevicePointer> addresses;
  addresses.reserve(planes.size());
  for (const size_t plane : planes) addresses.push_back(first + plane * bytes);
  return bits_.run(stream_, uploader_, addresses, side * side,
                   nonfinite_in(name_of(component), masks));
}

std::vector<CleanedPlane> GpuBackend::clean_planes(std::span<const LogitPlane> planes, int64_t side,
                                                   int64_t max_area) {
  std::vector<std::vector<uint64_t>> bits;
  const auto clean = [&](std::span<const DevicePointer> addresses) {
    cleaner_.run(stream_, uploader_, addresses, side, max_area);
    bits = bits_.run(stream_, uploader_, addresses, side * side, kBrokenPlane);
  };
  std::vector<LogitPlane> changed = kept_.changed(stream_, uploader_, planes, clean);
  std::vector<CleanedPlane> cleaned;
  cleaned.reserve(changed.size());
  for (size_t i = 0; i < changed.size(); ++i) {
    cleaned.push_back({std::move(changed[i]), std::move(bits[i])});
  }
  return cleaned;
}

std::vector<int64_t> GpuBackend::won_areas(std::span<const LogitPlane> planes) {
  if (planes.empty()) return {};
  const std::vector<LogitPlane> own = kept_.here(stream_, uploader_, planes);
  std::vector<DevicePointer> addresses;
  addresses.reserve(own.size());
  for (const LogitPlane& plane : own) addresses.push_back(kept_.address_of(plane));
  return overlaps_.won_areas(stream_, uploader_, addresses,
                             static_cast<int64_t>(planes.front().size()));
}

std::vector<LogitPlane> GpuBackend::lowered_planes(std::span<const LogitPlane> planes, float most) {
  const auto lower = [&](std::span<const DevicePointer> addresses) {
    overlaps_.lower(stream_, uploader_, addresses, static_cast<int64_t>(planes.front().size()),
                    most);
  };
  return kept_.changed(stream_, uploader_, planes, lower);
}

LogitPlane GpuBackend::keep_plane(std::vector<float> logits) {
  return kept_.keep_plane(stream_, uploader_, logits);
}

std::vector<FoundMask> GpuBackend::logit_masks(std::span<const LogitPlane> planes, int64_t side,
                                               std::array<int64_t, 2> size, LogitCut cut) {
  constexpr size_t kTogether = 64;  // bounds memory
  const size_t bytes = static_cast<size_t>(side * side) * sizeof(float);
  std::vector<FoundMask> found;
  for (size_t first = 0; first < planes.size(); first += kTogether) {
    const auto part = planes.subspan(first, std::min(kTogether, planes.size() - first));
    logits_.grow(stream_, part.size() * bytes);
    std::vector<MaskRequest> requests;
    for (const LogitPlane& plane : part) {
      if (plane.size() * sizeof(float) != bytes) {
        throw Error(ErrorCode::kInternal, "logits of a mask are not a square of that side");
      }
      kept_.place(stream_, uploader_, logits_.data() + requests.size() * bytes, plane);
      requests.push_back({requests.size(), size[1], size[0]});
    }
    auto masks =
        object_masks_.run(stream_, uploader_, logits_.data(), static_cast<int64_t>(part.size()),
                          side, requests, logit_cut(cut));
    std::ranges::move(masks, std::back_inserter(found));
  }
  return found;
}

std::unique_ptr<FeatureStore> GpuBackend::keep_features() {
  auto features = std::make_unique<DeviceFeatures>();
  for (const ComponentTensor& output : info_of(Component::kVisionEncoder).outputs) {
    const std::string name(output.name);
    if (!tensors_.contains(name)) continue;  // the model detects only
    const Placed& tensor = placed(Component::kVisionEncoder, name);
    const auto type = stages_.at(Component::kVisionEncoder).type_of(name).value_or(DType::kF32);
    const size_t bytes = static_cast<size_t>(element_count(tensor.shape)) * size_of(type);
    DeviceBuffer memory(model_->device(), bytes);
    copy_on_device(stream_, memory.data(), tensor.address, bytes);
    features->tensors.emplace(name, DeviceFeatures::Kept{tensor.shape, std::move(memory)});
  }
  return features;
}

void GpuBackend::use_features(const FeatureStore& features) {
  for (const auto& [name, kept] : dynamic_cast<const DeviceFeatures&>(features).tensors) {
    tensors_[name] = {kept.shape, kept.memory.data()};
  }
}

bool GpuBackend::keep_only_texts(const PreparedCall& texts) {
  return texts_.keep_only(stream_, uploader_, activations_, texts);
}

void GpuBackend::timed(double Timings::*counter, const std::function<void()>& work) {
  if (used_stretches_ == stretches_.size()) {
    stretches_.push_back({Event(model_->device()), Event(model_->device()), nullptr});
  }
  Stretch& stretch = stretches_[used_stretches_++];
  stretch.counter = counter;
  stream_.record(stretch.begin);
  work();
  stream_.record(stretch.end);
}

Timings GpuBackend::take_timings() {
  Timings timings;
  for (const Stretch& stretch : std::span(stretches_).first(used_stretches_)) {
    timings.*stretch.counter += static_cast<double>(stretch.end.milliseconds_since(stretch.begin));
  }
  used_stretches_ = 0;
  return timings;
}

}  // namespace sam3trt
