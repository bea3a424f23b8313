#include "verify/tracker_reference.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {
namespace {

using Tensors = std::map<std::string, Tensor>;
using enum Component;

/// Objects that are asked for together: each kind of prompt once.
constexpr int64_t kSeveral = 4;
/// Points of each of them: a box and the padding after it.
constexpr int64_t kPoints = 3;
/// Images on which memory attention, the slowest of all, is run.
constexpr size_t kAttended = 3;

struct Point {
  float x = 0;  ///< Of the image's side.
  float y = 0;
  int64_t label = 0;
};

/// A click; a click and another one that is not meant; a box; a click beside a mask.
constexpr std::array<std::array<Point, kPoints>, kSeveral> kPrompts = {{
    {{{0.22F, 0.26F, 1}, {0, 0, -1}, {0, 0, -10}}},
    {{{0.3F, 0.3F, 1}, {0.7F, 0.7F, 0}, {0, 0, -1}}},
    {{{0.08F, 0.08F, 2}, {0.36F, 0.46F, 3}, {0, 0, -1}}},
    {{{0.5F, 0.5F, 1}, {0, 0, -1}, {0, 0, -1}}},
}};

Tensor filled(const Shape& shape, float value) {
  Tensor tensor(DType::kF32, shape);
  std::ranges::fill(tensor.f32(), value);
  return tensor;
}

/// 0 % rows, 1 % rows, ...
Tensor indices(int64_t count, int64_t rows) {
  Tensor tensor(DType::kI64, {count});
  for (int64_t i = 0; i < count; ++i) tensor.i64()[static_cast<size_t>(i)] = i % rows;
  return tensor;
}

/// The first plane of each object's masks [O, m, s, s], each pixel `times` as wide and high and
/// changed by `change`: [O, 1, t, t].
template <typename Change>
Tensor enlarged(const Tensor& masks, int64_t side, Change change) {
  const int64_t from = masks.dim(2);
  Tensor result(DType::kF32, {masks.dim(0), 1, side, side});
  auto target = result.f32().begin();
  const auto plane = static_cast<size_t>(from * from);
  for (int64_t object = 0; object < masks.dim(0); ++object) {
    const auto source =
        masks.f32().subspan(static_cast<size_t>(object * masks.dim(1)) * plane, plane);
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        *target++ = change(source[static_cast<size_t>(y * from / side * from + x * from / side)]);
      }
    }
  }
  return result;
}

/// Runs the components and keeps what went through them.
class TrackerRecorder {
 public:
  TrackerRecorder(const ModelFiles& files, const EngineLoader& load, const ReferenceLimits& limits)
      : files_(files), limits_(limits), engines_(load_engines(files, load)) {}

  std::map<std::string, std::vector<RecordedCall>> record(std::span<const RecordedCall> vision);

 private:
  const Tensors& run(Component component, Tensors inputs) {
    RecordedCall call{std::move(inputs), {}};
    TensorMap map;
    for (const auto& [name, tensor] : call.inputs) map[name] = &tensor;
    call.outputs = engines_.at(component).run(map);
    auto& calls = calls_[std::string(name_of(component))];
    calls.push_back(std::move(call));
    return calls.back().outputs;
  }

  [[nodiscard]] Tensors decoder_inputs(const Tensors& neck, int64_t objects) const;
  void remember(const Tensors& neck, const Tensors& decoded);
  void attend(const Tensors& neck, int64_t objects, size_t frames, int64_t pointers);

  /// A frame: what one object looked like, and its pointer.
  struct Frame {
    Tensor memory;   ///< [1, N, X]
    Tensor pointer;  ///< [1, m, D]
  };

  const ModelFiles& files_;
  ReferenceLimits limits_;
  SessionEngines engines_;
  std::map<std::string, std::vector<RecordedCall>> calls_;
  std::vector<Frame> frames_;
};

/// The prompts of the first `objects` kinds, on the images of `neck` in turn.
Tensors TrackerRecorder::decoder_inputs(const Tensors& neck, int64_t objects) const {
  const int64_t images = neck.at("tracker_feat_0").dim(0);
  const int64_t side = neck.at("tracker_feat_0").dim(2);
  const auto size = static_cast<float>(files_.config.image_size);
  Tensors inputs;
  for (const char* name : {"object_features", "tracker_feat_0", "tracker_feat_1"}) {
    inputs[name] = neck.at(name);
  }
  inputs["feature_index"] = inputs["image_index"] = indices(objects, images);
  Tensor coords(DType::kF32, {objects, kPoints, 2});
  Tensor labels(DType::kI64, {objects, kPoints});
  for (int64_t i = 0; i < objects * kPoints; ++i) {
    const Point& point =
        kPrompts.at(static_cast<size_t>(i / kPoints)).at(static_cast<size_t>(i % kPoints));
    coords.f32()[static_cast<size_t>(2 * i)] = point.x * size;
    coords.f32()[static_cast<size_t>(2 * i + 1)] = point.y * size;
    labels.i64()[static_cast<size_t>(i)] = point.label;
  }
  inputs["point_coords"] = std::move(coords);
  inputs["point_labels"] = std::move(labels);
  inputs["mask_input"] = filled({objects, 1, side, side}, 0);
  inputs["has_mask"] = filled({objects}, 0);
  return inputs;
}

/// The masks of one call of the decoder as prompts and as memories.
void TrackerRecorder::remember(const Tensors& neck, const Tensors& decoded) {
  const Tensor& masks = decoded.at("sam_masks");
  const int64_t objects = masks.dim(0);
  if (files_.has(kMaskPrompt)) {
    run(kMaskPrompt,
        {{"object_mask", enlarged(masks, model_sizes(files_.config).at("Y"),
                                  [](float logit) { return logit > 0 ? 1.0F : 0.0F; })}});
  }
  if (!files_.has(kMemoryEncoder)) return;
  Tensor binary(DType::kF32, {objects});
  for (int64_t i = 0; i < objects; ++i) {
    binary.f32()[static_cast<size_t>(i)] = i % 2 == 0 ? 0.0F : 1.0F;
  }
  const Tensors& memory = run(
      kMemoryEncoder,
      {{"tracker_feat_2", neck.at("tracker_feat_2")},
       {"image_index", indices(objects, neck.at("tracker_feat_2").dim(0))},
       {"memory_mask", enlarged(masks, 16 * files_.config.grid, [](float logit) { return logit; })},
       {"is_binary", std::move(binary)},
       {"object_score", decoded.at("object_score")}});
  if (objects == 1) {
    frames_.push_back({memory.at("frame_memory"), decoded.at("object_pointers")});
  }
}

/// Each object remembers the last `frames` frames, beginning with another one; the last of several
/// only the first frame and no pointers.
void TrackerRecorder::attend(const Tensors& neck, int64_t objects, size_t frames,
                             int64_t pointers) {
  const TrackerConfig& config = *files_.config.tracker;
  const auto count = static_cast<int64_t>(frames);
  const int64_t width = config.width;
  const Tensor& first = frames_.front().memory;
  Tensor memory(DType::kF32, {objects, count, first.dim(1), first.dim(2)});
  Tensor time(DType::kI64, {objects, count});
  Tensor pointer(DType::kF32, {objects, pointers, width});
  Tensor pointer_time(DType::kF32, {objects, pointers});
  auto feature = memory.f32().begin();
  auto token = pointer.f32().begin();
  for (int64_t object = 0; object < objects; ++object) {
    const auto frame = [&](int64_t i) -> const Frame& {
      return frames_.at(static_cast<size_t>(object + i) % frames_.size());
    };
    for (int64_t i = 0; i < count; ++i) {
      feature = std::ranges::copy(frame(i).memory.f32(), feature).out;
      // The last row is that of conditioning frames.
      time.i64()[static_cast<size_t>(object * count + i)] =
          i == 0 ? config.num_maskmem - 1 : (i - 1) % config.num_maskmem;
    }
    for (int64_t i = 0; i < pointers; ++i) {
      token =
          std::ranges::copy(frame(i).pointer.f32().first(static_cast<size_t>(width)), token).out;
      pointer_time.f32()[static_cast<size_t>(object * pointers + i)] =
          static_cast<float>(i + 1) /
          static_cast<float>(std::max<int64_t>(config.max_object_pointers - 1, 1));
    }
  }
  Tensor memory_present = filled({objects, count}, 1);
  Tensor pointer_present = filled({objects, pointers}, 1);
  if (objects > 1) {
    std::ranges::fill(memory_present.f32().last(frames - 1), 0.0F);
    std::ranges::fill(pointer_present.f32().last(static_cast<size_t>(pointers)), 0.0F);
  }
  const int64_t images = neck.at("tracker_feat_2").dim(0);
  const Tensors& attended =
      run(kMemoryAttention, {{"tracker_feat_2", neck.at("tracker_feat_2")},
                             {"image_index", indices(objects, images)},
                             {"memory_features", std::move(memory)},
                             {"memory_time", std::move(time)},
                             {"memory_pointers", std::move(pointer)},
                             {"pointer_time", std::move(pointer_time)},
                             {"memory_present", std::move(memory_present)},
                             {"pointer_present", std::move(pointer_present)}});
  Tensors inputs = decoder_inputs(neck, objects);
  inputs["object_features"] = attended.at("object_features");
  inputs["feature_index"] = indices(objects, objects);
  if (files_.has(kSamDecoder)) run(kSamDecoder, std::move(inputs));
}

std::map<std::string, std::vector<RecordedCall>> TrackerRecorder::record(
    std::span<const RecordedCall> vision) {
  std::vector<RecordedCall> necks;
  for (const RecordedCall& image : vision) {
    const auto features = image.outputs.find("vision_features");
    if (features == image.outputs.end()) {
      throw_bad_input(
          "the vision encoder of the reference gives no vision_features, which clicks "
          "and videos need; export the whole checkpoint again");
    }
    necks.push_back({{}, run(kTrackerNeck, {{"vision_features", features->second}})});
  }
  if (!files_.has(kSamDecoder)) return std::move(calls_);
  for (const RecordedCall& neck : necks) {
    const Tensors decoded = run(kSamDecoder, decoder_inputs(neck.outputs, 1));
    remember(neck.outputs, decoded);
  }
  const int64_t several = std::min(kSeveral, limits_.objects);
  const auto batch = std::min(static_cast<size_t>(limits_.images), necks.size());
  const Tensors together = stack_calls(std::span(necks).first(batch)).outputs;
  if (several > 1) {
    Tensors inputs = decoder_inputs(together, several);
    const Tensors& seen = calls_.at("sam_decoder").front().outputs;
    Tensor& mask = inputs.at("mask_input");
    const auto plane = mask.f32().size() / static_cast<size_t>(several);
    std::ranges::copy(seen.at("sam_masks").f32().first(plane), mask.f32().last(plane).begin());
    inputs.at("has_mask").f32().back() = 1;
    const Tensors decoded = run(kSamDecoder, std::move(inputs));
    remember(together, decoded);
  }
  if (frames_.empty() || !files_.has(kMemoryAttention)) return std::move(calls_);
  const TrackerConfig& config = *files_.config.tracker;
  const auto most = static_cast<size_t>(
      std::max<int64_t>(config.num_maskmem - 1 + std::max<int64_t>(config.max_cond_frames, 1), 1));
  const size_t frames = std::min<size_t>(2, most);
  for (const RecordedCall& neck : std::span(necks).first(std::min(kAttended, necks.size()))) {
    attend(neck.outputs, 1, frames, 2);
  }
  attend(necks.front().outputs, 1, 1, 0);  // nothing but the frame itself
  if (several > 1) attend(together, several, std::min<size_t>(3, most), 1);
  return std::move(calls_);
}

}  // namespace

std::map<std::string, std::vector<RecordedCall>> record_tracker(
    const ModelFiles& files, const EngineLoader& load, std::span<const RecordedCall> vision,
    const ReferenceLimits& limits) {
  return TrackerRecorder(files, load, limits).record(vision);
}

}  // namespace sam3trt
