#include "components/components.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr DType kF32 = DType::kF32;
constexpr DType kI64 = DType::kI64;

std::vector<ComponentInfo> make_table() {
  return {
      {.id = Component::kVisionEncoder,
       .name = "vision_encoder",
       .tasks = {Task::kDetect, Task::kInteract, Task::kTrack},
       .beside = std::nullopt,
       .profiles = ProfileChoice::kOne,
       .inputs = {{"pixel_values", kF32, "B,3,S,S"}},
       .outputs = {{"fpn_feat_0", kF32, "B,D,4g,4g"},
                   {"fpn_feat_1", kF32, "B,D,2g,2g"},
                   {"fpn_feat_2", kF32, "B,D,g,g"},
                   {"vision_features", kF32, "B,N,H"}}},
      {.id = Component::kTextEncoder,
       .name = "text_encoder",
       .tasks = {Task::kDetect},
       .beside = Component::kDetector,
       .profiles = ProfileChoice::kOneTunedForOne,
       .inputs = {{"input_ids", kI64, "P,L"}},
       .outputs = {{"text_features", kF32, "P,L,D"}}},
      {.id = Component::kGeometryEncoder,
       .name = "geometry_encoder",
       .tasks = {Task::kDetect},
       .beside = Component::kDetector,
       .inputs = {{"fpn_feat_2", kF32, "B,D,g,g"},
                  {"image_index", kI64, "P"},
                  {"boxes", kF32, "P,K,4"},
                  {"box_labels", kI64, "P,K"},
                  {"box_mask", kF32, "P,K"},
                  {"pool_y", kF32, "P,K,r,g"},
                  {"pool_x", kF32, "P,K,r,g"}},
       .outputs = {{"geometry_features", kF32, "P,K+1,D"}}},
      {.id = Component::kDetector,
       .name = "detector",
       .tasks = {Task::kDetect},
       .beside = std::nullopt,
       .inputs = {{"fpn_feat_2", kF32, "B,D,g,g"},
                  {"image_index", kI64, "P"},
                  {"text_features", kF32, "P,L,D"},
                  {"geometry_features", kF32, "P,K+1,D"},
                  {"prompt_mask", kF32, "P,T"}},
       .outputs = {{"pred_logits", kF32, "P,Q"},
                   {"pred_boxes", kF32, "P,Q,4"},
                   {"presence_logits", kF32, "P,1"},
                   {"query_features", kF32, "P,Q,D"},
                   {"encoder_hidden_states", kF32, "P,N,D"}}},
      {.id = Component::kMaskHead,
       .name = "mask_head",
       .tasks = {Task::kDetect},
       .beside = Component::kDetector,
       .inputs = {{"fpn_feat_0", kF32, "B,D,4g,4g"},
                  {"fpn_feat_1", kF32, "B,D,2g,2g"},
                  {"encoder_hidden_states", kF32, "P,N,D"},
                  {"text_features", kF32, "P,L,D"},
                  {"geometry_features", kF32, "P,K+1,D"},
                  {"prompt_mask", kF32, "P,T"},
                  {"query_features", kF32, "P,Q,D"},
                  {"prompt_index", kI64, "R"},
                  {"image_index", kI64, "R"},
                  {"query_index", kI64, "R,M"}},
       .outputs = {{"pred_masks", kF32, "R,M,4g,4g"}, {"semantic_seg", kF32, "R,1,4g,4g"}}},
  };
}

std::vector<ComponentInfo> make_tracker_table() {
  return {
      {.id = Component::kTrackerNeck,
       .name = "tracker_neck",
       .tasks = {Task::kInteract, Task::kTrack},
       .beside = std::nullopt,
       .profiles = ProfileChoice::kOne,
       .inputs = {{"vision_features", kF32, "B,N,H"}},
       .outputs = {{"tracker_feat_0", kF32, "B,U,4g,4g"},
                   {"tracker_feat_1", kF32, "B,V,2g,2g"},
                   {"tracker_feat_2", kF32, "B,C,g,g"},
                   {"object_features", kF32, "B,C,g,g"}}},
      {.id = Component::kMaskPrompt,
       .name = "mask_prompt",
       .tasks = {Task::kTrack},
       .beside = std::nullopt,
       .inputs = {{"object_mask", kF32, "O,1,Y,Y"}},
       .outputs = {{"mask_input", kF32, "O,1,4g,4g"}}},
      {.id = Component::kMemoryAttention,
       .name = "memory_attention",
       .tasks = {Task::kTrack},
       .beside = std::nullopt,
       .inputs = {{"tracker_feat_2", kF32, "B,C,g,g"},
                  {"image_index", kI64, "O"},
                  {"memory_features", kF32, "O,F,N,X"},
                  {"memory_time", kI64, "O,F"},
                  {"memory_pointers", kF32, "O,W,C"},
                  {"pointer_time", kF32, "O,W"},
                  {"memory_present", kF32, "O,F"},
                  {"pointer_present", kF32, "O,W"}},
       .outputs = {{"object_features", kF32, "O,C,g,g"}}},
      {.id = Component::kSamDecoder,
       .name = "sam_decoder",
       .tasks = {Task::kInteract, Task::kTrack},
       .beside = std::nullopt,
       .inputs = {{"object_features", kF32, "E,C,g,g"},
                  {"feature_index", kI64, "O"},
                  {"tracker_feat_0", kF32, "B,U,4g,4g"},
                  {"tracker_feat_1", kF32, "B,V,2g,2g"},
                  {"image_index", kI64, "O"},
                  {"point_coords", kF32, "O,A,2"},
                  {"point_labels", kI64, "O,A"},
                  {"mask_input", kF32, "O,1,4g,4g"},
                  {"has_mask", kF32, "O"}},
       .outputs = {{"sam_masks", kF32, "O,m,4g,4g"},
                   {"iou_scores", kF32, "O,m"},
                   {"object_score", kF32, "O,1"},
                   {"object_pointers", kF32, "O,m,C"},
                   {"absent_pointers", kF32, "O,C"}}},
      {.id = Component::kMemoryEncoder,
       .name = "memory_encoder",
       .tasks = {Task::kTrack},
       .beside = std::nullopt,
       .inputs = {{"tracker_feat_2", kF32, "B,C,g,g"},
                  {"image_index", kI64, "O"},
                  {"memory_mask", kF32, "O,1,16g,16g"},
                  {"is_binary", kF32, "O"},
                  {"object_score", kF32, "O,1"}},
       .outputs = {{"frame_memory", kF32, "O,N,X"}}},
  };
}

const std::vector<ComponentInfo>& table() {
  static const std::vector<ComponentInfo> kTable = [] {
    std::vector<ComponentInfo> all = make_table();
    std::ranges::move(make_tracker_table(), std::back_inserter(all));
    return all;
  }();
  return kTable;
}

}  // namespace

std::span<const ComponentInfo> components() { return table(); }

const ComponentInfo& info_of(Component component) {
  return table().at(static_cast<size_t>(component));
}

std::string_view name_of(Component component) { return info_of(component).name; }

std::optional<Component> component_named(std::string_view name) {
  const auto found = std::ranges::find(table(), name, &ComponentInfo::name);
  if (found == table().end()) return std::nullopt;
  return found->id;
}

std::string component_names() {
  std::string names;
  for (const ComponentInfo& info : table()) {
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  return names;
}

std::vector<Component> components_beside(Component main) {
  std::vector<Component> found;
  for (const ComponentInfo& info : table()) {
    if (info.beside == main) found.push_back(info.id);
  }
  return found;
}

std::filesystem::path path_beside(const std::filesystem::path& main, Component component) {
  return main.parent_path() /
         (main.stem().string() + "." + std::string(name_of(component)) + main.extension().string());
}

std::filesystem::path tokenizer_beside(const std::filesystem::path& detector) {
  return detector.parent_path() / (detector.stem().string() + ".tokenizer.json");
}

Shape shape_of(const ComponentTensor& tensor, const AxisSizes& sizes) {
  const auto axis = [&](std::string_view text) -> int64_t {
    int64_t factor = 1;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), factor);
    text.remove_prefix(static_cast<size_t>(rest - text.data()));
    if (text.empty()) return factor;
    int64_t more = 0;
    if (const size_t plus = text.find('+'); plus != std::string_view::npos) {
      std::from_chars(text.data() + plus + 1, text.data() + text.size(), more);
      text = text.substr(0, plus);
    }
    const auto found = sizes.find(text);
    return found == sizes.end() ? -1 : factor * found->second + more;
  };
  Shape shape;
  for (std::string_view rest = tensor.shape; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    shape.push_back(axis(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return shape;
}

std::optional<std::string_view> input_counting(Component component, std::string_view symbol) {
  for (const ComponentTensor& input : info_of(component).inputs) {
    if (input.shape.substr(0, input.shape.find(',')) == symbol) return input.name;
  }
  return std::nullopt;
}

bool may_be_empty(std::string_view input, size_t axis) {
  constexpr int64_t kMark = int64_t{1} << 40;  // no other axis has it
  for (const ComponentInfo& info : table()) {
    const auto found = std::ranges::find(info.inputs, input, &ComponentTensor::name);
    if (found == info.inputs.end()) continue;
    const Shape shape = shape_of(*found, {{"W", kMark}});
    return axis < shape.size() && shape[axis] == kMark;
  }
  return false;
}

bool serves(Component component, Task task) {
  const std::vector<Task>& tasks = info_of(component).tasks;
  return std::ranges::find(tasks, task) != tasks.end();
}

std::optional<Component> producer_of(std::string_view tensor) {
  for (const ComponentInfo& info : table()) {
    if (std::ranges::find(info.outputs, tensor, &ComponentTensor::name) != info.outputs.end()) {
      return info.id;
    }
  }
  return std::nullopt;
}

std::vector<Connection> connections() {
  std::vector<Connection> found;
  for (const ComponentInfo& info : table()) {
    for (const ComponentTensor& input : info.inputs) {
      for (const ComponentInfo& from : table()) {
        const bool gives = std::ranges::find(from.outputs, input.name, &ComponentTensor::name) !=
                           from.outputs.end();
        if (gives) found.push_back({from.id, info.id, input.name});
      }
    }
  }
  return found;
}

}  // namespace sam3trt
