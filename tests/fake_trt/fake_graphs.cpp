#include "fake_graphs.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace sam3trt {
namespace {

using Tensors = std::map<std::string, Tensor>;

constexpr int64_t kWidth = 8;
constexpr int64_t kGrid = 2;
constexpr int64_t kSide = 4 * kGrid;
constexpr int64_t kContext = 6;
constexpr int64_t kQueries = 5;
constexpr int64_t kRegion = 3;
constexpr int64_t kVisionWidth = 3;

/// Numbers that follow from all that was mixed in.
class Mixer {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      state_ = (state_ ^ static_cast<uint64_t>(byte)) * 0x100000001b3U;  // FNV-1a
    }
  }
  /// Row `index` of the first axis.
  void add_row(const Tensor& tensor, int64_t index) {
    const size_t size = tensor.bytes().size() / static_cast<size_t>(tensor.dim(0));
    add(tensor.bytes().subspan(static_cast<size_t>(index) * size, size));
  }

  /// From -1 to 1.
  float next() {
    state_ += 0x9e3779b97f4a7c15U;  // SplitMix64
    uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    z ^= z >> 31U;
    return static_cast<float>(z >> 40U) / static_cast<float>(1U << 23U) - 1.0F;
  }
  void fill(std::span<float> values, float scale) {
    for (float& value : values) value = scale * next();
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325U;
};

std::span<float> row_of(Tensor& tensor, int64_t index) {
  const size_t size = tensor.f32().size() / static_cast<size_t>(tensor.dim(0));
  return tensor.f32().subspan(static_cast<size_t>(index) * size, size);
}

Tensors encode_image(const TensorMap& inputs) {
  const Tensor& pixels = *inputs.at("pixel_values");
  const int64_t images = pixels.dim(0);
  Tensors outputs;
  for (const auto& [name, side] :
       {std::pair{"fpn_feat_0", kSide}, {"fpn_feat_1", kSide / 2}, {"fpn_feat_2", kGrid}}) {
    Tensor features(DType::kF32, {images, kWidth, side, side});
    for (int64_t image = 0; image < images; ++image) {
      Mixer mixer;
      mixer.add_row(pixels, image);
      mixer.fill(row_of(features, image), 1.0F);
    }
    outputs.emplace(name, std::move(features));
  }
  return outputs;
}

/// The same of a model that does more than detect.
Tensors encode_image_for_all(const TensorMap& inputs) {
  Tensors outputs = encode_image(inputs);
  const Tensor& pixels = *inputs.at("pixel_values");
  Tensor tokens(DType::kF32, {pixels.dim(0), kGrid * kGrid, kVisionWidth});
  for (int64_t image = 0; image < pixels.dim(0); ++image) {
    Mixer mixer;
    mixer.add_row(pixels, image);
    mixer.fill(row_of(tokens, image), 2.0F);
  }
  outputs.emplace("vision_features", std::move(tokens));
  return outputs;
}

Tensors encode_text(const TensorMap& inputs) {
  const Tensor& ids = *inputs.at("input_ids");
  Tensor features(DType::kF32, {ids.dim(0), kContext, kWidth});
  for (int64_t row = 0; row < ids.dim(0); ++row) {
    Mixer mixer;
    mixer.add_row(ids, row);
    mixer.fill(row_of(features, row), 1.0F);
  }
  Tensors outputs;
  outputs.emplace("text_features", std::move(features));
  return outputs;
}

Tensors encode_boxes(const TensorMap& inputs) {
  const Tensor& mask = *inputs.at("box_mask");
  const int64_t rows = mask.dim(0);
  const int64_t slots = mask.dim(1);
  Tensor features(DType::kF32, {rows, slots + 1, kWidth});
  for (int64_t row = 0; row < rows; ++row) {
    Mixer all;
    all.add_row(*inputs.at("fpn_feat_2"), inputs.at("image_index")->i64()[row]);
    for (int64_t slot = 0; slot < slots; ++slot) {
      const int64_t index = row * slots + slot;
      if (mask.f32()[index] == 0.0F) continue;
      for (const char* name : {"boxes", "box_labels", "pool_y", "pool_x"}) {
        const Tensor& tensor = *inputs.at(name);
        const size_t size = tensor.bytes().size() / static_cast<size_t>(rows * slots);
        all.add(tensor.bytes().subspan(static_cast<size_t>(index) * size, size));
      }
      Mixer mixer = all;
      mixer.fill(row_of(features, row).subspan(static_cast<size_t>(slot * kWidth), kWidth), 1.0F);
    }
    all.fill(row_of(features, row).subspan(static_cast<size_t>(slots * kWidth), kWidth), 1.0F);
  }
  Tensors outputs;
  outputs.emplace("geometry_features", std::move(features));
  return outputs;
}

/// The prompt's tokens that take part, and the features of its image.
Mixer prompt_of(const TensorMap& inputs, int64_t row) {
  Mixer mixer;
  const Tensor& mask = *inputs.at("prompt_mask");
  for (int64_t token = 0; token < mask.dim(1); ++token) {
    if (mask.f32()[row * mask.dim(1) + token] == 0.0F) continue;
    const bool is_text = token < kContext;
    const Tensor& source = *inputs.at(is_text ? "text_features" : "geometry_features");
    const int64_t index = row * source.dim(1) + token - (is_text ? 0 : kContext);
    const size_t size = kWidth * sizeof(float);
    mixer.add(source.bytes().subspan(static_cast<size_t>(index) * size, size));
  }
  return mixer;
}

Tensors detect(const TensorMap& inputs) {
  const int64_t rows = inputs.at("text_features")->dim(0);
  Tensors outputs;
  for (const auto& [name, shape, scale] :
       {std::tuple{"pred_logits", Shape{rows, kQueries}, 4.0F},
        std::tuple{"pred_boxes", Shape{rows, kQueries, 4}, 1.0F},
        std::tuple{"presence_logits", Shape{rows, 1}, 8.0F},
        std::tuple{"query_features", Shape{rows, kQueries, kWidth}, 1.0F},
        std::tuple{"encoder_hidden_states", Shape{rows, kGrid * kGrid, kWidth}, 1.0F}}) {
    Tensor tensor(DType::kF32, shape);
    for (int64_t row = 0; row < rows; ++row) {
      Mixer mixer = prompt_of(inputs, row);
      mixer.add_row(*inputs.at("fpn_feat_2"), inputs.at("image_index")->i64()[row]);
      mixer.fill(row_of(tensor, row), scale);
    }
    outputs.emplace(name, std::move(tensor));
  }
  for (float& presence : outputs.at("presence_logits").f32()) presence = std::abs(presence);
  for (float& side : outputs.at("pred_boxes").f32()) side = std::abs(side);
  return outputs;
}

Tensors make_masks(const TensorMap& inputs) {
  const Tensor& queries = *inputs.at("query_index");
  const Tensor& features = *inputs.at("query_features");
  const int64_t rows = queries.dim(0);
  Tensor masks(DType::kF32, {rows, queries.dim(1), kSide, kSide});
  Tensor semantic(DType::kF32, {rows, 1, kSide, kSide});
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t prompt = inputs.at("prompt_index")->i64()[row];
    const int64_t image = inputs.at("image_index")->i64()[row];
    Mixer common = prompt_of(inputs, prompt);
    common.add_row(*inputs.at("fpn_feat_0"), image);
    common.add_row(*inputs.at("fpn_feat_1"), image);
    common.add_row(*inputs.at("encoder_hidden_states"), prompt);
    for (int64_t slot = 0; slot < queries.dim(1); ++slot) {
      const int64_t plane = row * queries.dim(1) + slot;
      Mixer mixer = common;
      const size_t size = kWidth * sizeof(float);
      const int64_t query = prompt * kQueries + queries.i64()[plane];
      mixer.add(features.bytes().subspan(static_cast<size_t>(query) * size, size));
      mixer.fill(masks.f32().subspan(static_cast<size_t>(plane * kSide * kSide), kSide * kSide),
                 3.0F);
    }
  }
  Tensors outputs;
  outputs.emplace("pred_masks", std::move(masks));
  outputs.emplace("semantic_seg", std::move(semantic));
  return outputs;
}

std::string_view first_axis(const ComponentTensor& tensor) {
  return tensor.shape.substr(0, tensor.shape.find(','));
}

/// The row of `input` that row `row` of the outputs depends on; -1 for none.
int64_t row_for(const ComponentTensor& input, std::string_view rows, const TensorMap& inputs,
                int64_t row) {
  if (input.name.ends_with("_index")) return -1;
  const bool is_mask = input.name == "mask_input";
  if (is_mask && inputs.at("has_mask")->f32()[static_cast<size_t>(row)] == 0.0F) return -1;
  if (first_axis(input) == rows) return row;
  const char* index = first_axis(input) == "E" ? "feature_index" : "image_index";
  return inputs.at(index)->i64()[static_cast<size_t>(row)];
}

/// The input that says how many of the second axis of another are there; null: all.
const char* presence_of(const ComponentTensor& input) {
  const std::string_view rest = input.shape.substr(first_axis(input).size());
  if (rest.starts_with(",F")) return "memory_present";
  return rest.starts_with(",W") ? "pointer_present" : nullptr;
}

/// Of row `row` what is there.
void add_present(Mixer& mixer, const ComponentTensor& input, const TensorMap& inputs, int64_t row) {
  const Tensor& tensor = *inputs.at(std::string(input.name));
  const char* presence = presence_of(input);
  if (presence == nullptr) return mixer.add_row(tensor, row);
  const Tensor& present = *inputs.at(presence);
  const int64_t count = present.dim(1);
  if (count == 0) return;
  const auto flags = present.f32().subspan(static_cast<size_t>(row * count), count);
  const auto there = static_cast<size_t>(std::ranges::count(flags, 1.0F));
  const size_t size = tensor.bytes().size() / present.f32().size();
  mixer.add(tensor.bytes().subspan(static_cast<size_t>(row * count) * size, there * size));
}

/// Any component of clicks and videos: each row of its outputs mixes what it depends on.
Tensors run_any(Component component, const TensorMap& inputs) {
  const ComponentInfo& info = info_of(component);
  AxisSizes sizes = model_sizes(FakeGraphs::config());
  for (const ComponentTensor& input : info.inputs) {
    const Tensor& tensor = *inputs.at(std::string(input.name));
    sizes[std::string(first_axis(input))] = tensor.dim(0);
  }
  Tensors outputs;
  for (const ComponentTensor& output : info.outputs) {
    Tensor tensor(DType::kF32, shape_of(output, sizes));
    for (int64_t row = 0; row < tensor.dim(0); ++row) {
      Mixer mixer;
      mixer.add(std::as_bytes(std::span(output.name)));
      for (const ComponentTensor& input : info.inputs) {
        const int64_t from = row_for(input, first_axis(output), inputs, row);
        if (from >= 0) add_present(mixer, input, inputs, from);
      }
      mixer.fill(row_of(tensor, row), 2.0F);
    }
    outputs.emplace(output.name, std::move(tensor));
  }
  return outputs;
}

using Function = std::function<Tensors(const TensorMap&)>;

using Damages = std::map<std::string, FakeGraphs::Damage>;

class FakeGraph : public Engine {
 public:
  FakeGraph(std::string name, std::vector<TensorInfo> inputs, std::vector<TensorInfo> outputs,
            Function function, std::shared_ptr<const Damages> damages)
      : name_(std::move(name)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        function_(std::move(function)),
        damages_(std::move(damages)) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] Tensors run(const TensorMap& inputs) override {
    Tensors outputs = function_(inputs);
    const auto damage = damages_->find(name_);
    if (damage != damages_->end() && damage->second) damage->second(inputs, outputs);
    return outputs;
  }

 private:
  std::string name_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
  Function function_;
  std::shared_ptr<const Damages> damages_;
};

constexpr int64_t kAny = -1;
const TensorInfo kPixels{"pixel_values", DType::kF32, {kAny, 3, 2 * kGrid, 2 * kGrid}};
const TensorInfo kFeatures0{"fpn_feat_0", DType::kF32, {kAny, kWidth, kSide, kSide}};
const TensorInfo kFeatures1{"fpn_feat_1", DType::kF32, {kAny, kWidth, kSide / 2, kSide / 2}};
const TensorInfo kFeatures2{"fpn_feat_2", DType::kF32, {kAny, kWidth, kGrid, kGrid}};
const TensorInfo kIds{"input_ids", DType::kI64, {kAny, kContext}};
const TensorInfo kText{"text_features", DType::kF32, {kAny, kContext, kWidth}};
const TensorInfo kImageIndex{"image_index", DType::kI64, {kAny}};
const TensorInfo kGeometry{"geometry_features", DType::kF32, {kAny, kAny, kWidth}};
const TensorInfo kPromptMask{"prompt_mask", DType::kF32, {kAny, kAny}};
const TensorInfo kQueryFeatures{"query_features", DType::kF32, {kAny, kQueries, kWidth}};
const TensorInfo kHidden{"encoder_hidden_states", DType::kF32, {kAny, kGrid* kGrid, kWidth}};

}  // namespace

ModelConfig FakeGraphs::config() {
  ModelConfig config;
  config.image_size = 2 * kGrid;
  config.patch_size = 2;
  config.grid = kGrid;
  config.detector_width = kWidth;
  config.context_length = kContext;
  config.num_queries = kQueries;
  config.roi_size = kRegion;
  config.image_mean = {0.5, 0.5, 0.5};
  config.image_std = {0.5, 0.5, 0.5};
  config.rescale_factor = 1.0 / 255;
  config.pad_token_id = 0;
  TrackerConfig tracker;
  tracker.vision_width = kVisionWidth;
  tracker.width = kWidth;
  tracker.memory_channels = kWidth / 2;
  tracker.num_maskmem = 3;
  tracker.max_cond_frames = 1;
  tracker.max_object_pointers = 4;
  tracker.mask_tokens = 4;
  tracker.low_res_mask_size = kSide;
  config.tracker = tracker;
  return config;
}

Tokenizer FakeGraphs::tokenizer() { return Tokenizer::load(SAM3TRT_TEST_DATA "/text"); }

SessionEngines FakeGraphs::engines() const {
  SessionEngines engines;
  const auto graph = [&](Component component, std::vector<TensorInfo> inputs,
                         std::vector<TensorInfo> outputs, Tensors (*function)(const TensorMap&)) {
    const std::string name(name_of(component));
    engines.set(component, std::make_unique<FakeGraph>(name, std::move(inputs), std::move(outputs),
                                                       function, damage_));
  };
  const Shape pool = {kAny, kAny, kRegion, kGrid};
  graph(Component::kVisionEncoder, {kPixels}, {kFeatures0, kFeatures1, kFeatures2}, encode_image);
  graph(Component::kTextEncoder, {kIds}, {kText}, encode_text);
  graph(Component::kGeometryEncoder,
        {kFeatures2,
         kImageIndex,
         {"boxes", DType::kF32, {kAny, kAny, 4}},
         {"box_labels", DType::kI64, {kAny, kAny}},
         {"box_mask", DType::kF32, {kAny, kAny}},
         {"pool_y", DType::kF32, pool},
         {"pool_x", DType::kF32, pool}},
        {kGeometry}, encode_boxes);
  graph(Component::kDetector, {kFeatures2, kImageIndex, kText, kGeometry, kPromptMask},
        {{"pred_logits", DType::kF32, {kAny, kQueries}},
         {"pred_boxes", DType::kF32, {kAny, kQueries, 4}},
         {"presence_logits", DType::kF32, {kAny, 1}},
         kQueryFeatures,
         kHidden},
        detect);
  graph(Component::kMaskHead,
        {kFeatures0,
         kFeatures1,
         kHidden,
         kText,
         kGeometry,
         kPromptMask,
         kQueryFeatures,
         {"prompt_index", DType::kI64, {kAny}},
         kImageIndex,
         {"query_index", DType::kI64, {kAny, kAny}}},
        {{"pred_masks", DType::kF32, {kAny, kAny, kSide, kSide}},
         {"semantic_seg", DType::kF32, {kAny, 1, kSide, kSide}}},
        make_masks);
  return engines;
}

SessionEngines FakeGraphs::all_engines() const {
  SessionEngines all = engines();
  const auto add = [&](Component component, std::vector<TensorInfo> inputs,
                       std::vector<TensorInfo> outputs, Function function) {
    all.set(component,
            std::make_unique<FakeGraph>(std::string(name_of(component)), std::move(inputs),
                                        std::move(outputs), std::move(function), damage_));
  };
  add(Component::kVisionEncoder, {kPixels},
      {kFeatures0,
       kFeatures1,
       kFeatures2,
       {"vision_features", DType::kF32, {kAny, kGrid * kGrid, kVisionWidth}}},
      encode_image_for_all);
  const AxisSizes sizes = model_sizes(config());
  for (const ComponentInfo& info : components()) {
    if (serves(info.id, Task::kDetect)) continue;
    std::vector<TensorInfo> tensors[2];
    for (const auto& [list, into] :
         {std::pair{&info.inputs, &tensors[0]}, std::pair{&info.outputs, &tensors[1]}}) {
      for (const ComponentTensor& tensor : *list) {
        into->push_back({std::string(tensor.name), tensor.dtype, shape_of(tensor, sizes)});
      }
    }
    add(info.id, std::move(tensors[0]), std::move(tensors[1]),
        [id = info.id](const TensorMap& inputs) { return run_any(id, inputs); });
  }
  return all;
}

}  // namespace sam3trt
