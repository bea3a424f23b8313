#include "tracking/backend_tracker.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "runtime/request.hpp"
#include "runtime/stage.hpp"
#include "tracking/decoder_calls.hpp"
#include "tracking/object_mask.hpp"

namespace sam3trt {
namespace {

/// Objects that go through a component together; bounds memory.
constexpr size_t kTogether = 16;

/// How many of `count` objects, at least one, go together: as equal shares as may be, none of which
/// is too large.
size_t objects_together(const Backend& backend, size_t count) {
  const size_t most = std::clamp<size_t>(backend.limits().objects, 1, kTogether);
  const size_t shares = (count + most - 1) / most;
  return (count + shares - 1) / shares;
}

/// An object that takes a place and little time: of what it remembers as little as there may be.
DecodeInput filler_like(const DecodeInput& object) {
  DecodeInput filler = object;
  ObjectMemory& memory = filler.memory;
  memory.frames.resize(std::min<size_t>(memory.frames.size(), 1));
  memory.times.resize(memory.frames.size());
  memory.pointers.resize(std::min<size_t>(memory.pointers.size(), 1));
  memory.pointer_times.resize(memory.pointers.size());
  return filler;
}

/// Objects that may go together: what they are decoded on, frames, pointers, tokens, values of a
/// mask and of earlier logits.
using GroupKey = std::tuple<FrameFeatures, size_t, size_t, size_t, size_t, size_t>;

/// `padded`: whether objects with fewer memories are padded.
GroupKey key_of(const DecodeInput& input, bool padded) {
  return {input.features,
          padded ? 0 : input.memory.frames.size(),
          padded ? 0 : input.memory.pointers.size(),
          input.tokens.size(),
          input.mask.size(),
          input.previous.size()};
}

Tensor count_up(int64_t count, int64_t step) {
  Tensor tensor(DType::kI64, {count});
  for (int64_t i = 0; i < count; ++i) tensor.i64()[static_cast<size_t>(i)] = i * step;
  return tensor;
}

std::vector<float> row_of(const Tensor& tensor, size_t row) {
  const auto values = tensor.f32();
  const size_t size = values.size() / static_cast<size_t>(tensor.dim(0));
  const auto part = values.subspan(row * size, size);
  return {part.begin(), part.end()};
}

}  // namespace

BackendTracker::BackendTracker(Backend& backend, const Tokenizer& tokenizer,
                               const ModelConfig& config, Semantics semantics)
    : backend_(backend),
      tokenizer_(tokenizer),
      config_(config),
      semantics_(semantics),
      axes_(model_sizes(config)) {
  if (!config.tracker) throw Error(ErrorCode::kInternal, "a tracker of a model without one");
  sizes_ = {config.image_size, config.grid, config.tracker->width, config.tracker->memory_channels,
            config.tracker->mask_tokens};
}

AxisSizes BackendTracker::sizes_with(std::initializer_list<AxisSizes::value_type> more) const {
  AxisSizes axes = axes_;
  axes["B"] = 1;
  for (const auto& [symbol, size] : more) axes[symbol] = size;
  return axes;
}

void BackendTracker::encode(const ImageView& image) {
  check_image(image);
  backend_.check(image);
  backend_.load_images({&image, 1});
  backend_.run(Component::kVisionEncoder, sizes_with({}));
  backend_.run(Component::kTrackerNeck, sizes_with({}));
  features_ = FrameFeatures::kNoMemory;
}

std::vector<std::vector<TrackerDetection>> BackendTracker::detect(std::span<const Prompt> concepts,
                                                                  std::array<int64_t, 2> size,
                                                                  float threshold) {
  const ImagePrompts asked{size, concepts};
  const PreparedCall call =
      prepare_call({&asked, 1}, backend_.limits(), tokenizer_, config_, semantics_);
  backend_.check(call, MaskOutput::kRunLengths);
  std::vector<std::vector<TrackerDetection>> all(concepts.size());
  for (const PromptBatch& batch : call.groups.front().batches) {
    run_detector(batch, call);
    std::vector<std::array<int64_t, 2>> sizes;
    for (const PromptRow& row : batch.rows) sizes.push_back(row.size);
    const std::vector<PromptDetections> found = backend_.detections(sizes, threshold);
    for (size_t row = 0; row < found.size(); ++row) {
      if (!found[row].finite) throw NonFiniteError("the detector gave non-finite numbers");
      all[batch.rows[row].prompt] = read_masks(row, found[row].detections);
    }
  }
  return all;
}

void BackendTracker::run_detector(const PromptBatch& batch, const PreparedCall& call) {
  const auto prompts = static_cast<int64_t>(batch.rows.size());
  const AxisSizes axes = sizes_with({{"P", prompts}, {"K", batch.box_slots}});
  backend_.put_texts(batch, call);
  for (const auto& [name, tensor] : batch.inputs) backend_.put(Component::kDetector, name, tensor);
  if (batch.needs_geometry) {
    backend_.run(Component::kGeometryEncoder, axes);
  } else {
    backend_.put_zeros("geometry_features", {prompts, batch.box_slots + 1, config_.detector_width});
  }
  backend_.run(Component::kDetector, axes);
}

/// Places for masks in a call of the mask head. Where some stay free anyway they do not become
/// fewer: noise crosses any limit between two sizes again and again.
int64_t BackendTracker::slots_for(size_t count) {
  const int64_t slots = backend_.mask_slots(count);
  const bool pads = backend_.mask_slots(1) > 1;
  if (pads) slots_ = std::max(slots_, slots);
  return pads ? slots_ : slots;
}

/// The masks of one row of the detector, by query.
std::vector<TrackerDetection> BackendTracker::read_masks(size_t row,
                                                         std::span<const Detection> detections) {
  std::vector<TrackerDetection> found;
  for (const Detection& detection : detections) {
    found.push_back({detection.query, detection.score, {}, {}});
  }
  std::ranges::sort(found, {}, &TrackerDetection::query);
  const int64_t side = sizes_.mask_side();
  const size_t most = std::max<size_t>(backend_.limits().masks, 1);
  for (size_t first = 0; first < found.size(); first += most) {
    const size_t count = std::min(most, found.size() - first);
    const int64_t slots = slots_for(count);
    Tensor prompt_index(DType::kI64, {1});
    prompt_index.i64()[0] = static_cast<int64_t>(row);
    Tensor query_index(DType::kI64, {1, slots});
    for (size_t i = 0; i < count; ++i) query_index.i64()[i] = found[first + i].query;
    backend_.put(Component::kMaskHead, "prompt_index", prompt_index);
    backend_.put(Component::kMaskHead, "image_index", count_up(1, 0));
    backend_.put(Component::kMaskHead, "query_index", query_index);
    backend_.run(Component::kMaskHead, sizes_with({{"R", 1}, {"M", slots}}));
    std::vector<size_t> planes(count);
    std::iota(planes.begin(), planes.end(), size_t{0});  // not the free slots
    std::vector<LogitPlane> masks = backend_.keep_planes(Component::kMaskHead, planes, side);
    auto bits = backend_.bits_above(Component::kMaskHead, planes, side);
    for (size_t i = 0; i < count; ++i) {
      found[first + i].mask = std::move(masks[i]);
      found[first + i].bits = BitMask(std::move(bits[i]));
    }
  }
  return found;
}

std::vector<DecodeOutput> BackendTracker::decode(std::span<const DecodeInput> objects,
                                                 MaskPlace masks) {
  std::map<GroupKey, std::vector<size_t>> groups;
  const bool remember = std::ranges::any_of(
      objects, [](const DecodeInput& input) { return input.features == FrameFeatures::kMemory; });
  const bool padded = remember && padded_memories()[0] > 0;
  for (size_t i = 0; i < objects.size(); ++i) groups[key_of(objects[i], padded)].push_back(i);
  std::vector<DecodeOutput> outputs(objects.size());
  for (const auto& [key, members] : groups) {
    const size_t together = objects_together(backend_, members.size());
    std::optional<DecodeInput> filler;  // of the shapes before, which cost nothing
    for (size_t first = 0; first < members.size(); first += together) {
      const auto part =
          std::span(members).subspan(first, std::min(together, members.size() - first));
      std::vector<const DecodeInput*> group;
      for (const size_t index : part) group.push_back(&objects[index]);
      if (padded && group.size() < together) {
        filler = filler_like(*group.back());
        group.resize(together, &*filler);
      }
      std::vector<DecodeOutput> decoded = decode_group(group, masks);
      for (size_t i = 0; i < part.size(); ++i) outputs[part[i]] = std::move(decoded[i]);
    }
  }
  return outputs;
}

std::vector<DecodeOutput> BackendTracker::decode_group(Group group, MaskPlace masks) {
  const auto count = static_cast<int64_t>(group.size());
  put_features(group);
  std::vector<const std::vector<PromptToken>*> asked;
  asked.reserve(group.size());
  for (const DecodeInput* input : group) asked.push_back(&input->tokens);
  put_tokens(backend_, asked);
  put_masks(group);
  const bool own = group.front()->features == FrameFeatures::kMemory;
  backend_.put(Component::kSamDecoder, "feature_index", count_up(count, own ? 1 : 0));
  backend_.put(Component::kSamDecoder, "image_index", count_up(count, 0));
  const auto tokens = static_cast<int64_t>(group.front()->tokens.size());
  backend_.run(Component::kSamDecoder,
               sizes_with({{"E", own ? count : 1}, {"O", count}, {"A", tokens}}));
  return read_decoded(group, masks);
}

/// The mask of an object that is not there.
const LogitPlane& BackendTracker::absent_mask(MaskPlace place) {
  LogitPlane& mask = absent_[place];
  if (mask.empty()) {
    Logits logits(static_cast<size_t>(sizes_.mask_side() * sizes_.mask_side()), kNoObjectLogit);
    mask = place == MaskPlace::kHost ? LogitPlane(std::move(logits))
                                     : backend_.keep_plane(std::move(logits));
  }
  return mask;
}

std::vector<LogitPlane> BackendTracker::decoder_planes(std::vector<size_t> planes,
                                                       MaskPlace place) const {
  const int64_t side = sizes_.mask_side();
  if (place == MaskPlace::kModel) return backend_.keep_planes(Component::kSamDecoder, planes, side);
  const Tensor masks = decoder_masks(backend_, planes, side);
  std::vector<LogitPlane> found;
  found.reserve(planes.size());
  for (size_t i = 0; i < planes.size(); ++i) found.emplace_back(row_of(masks, i));
  return found;
}

/// The small outputs first: they say which masks count.
std::vector<DecodeOutput> BackendTracker::read_decoded(Group group, MaskPlace place) {
  const auto count = static_cast<int64_t>(group.size());
  const auto masks = static_cast<size_t>(sizes_.masks);
  const std::vector<WantedOutput> wanted = {
      {{"iou_scores"}, {count, sizes_.masks}},
      {{"object_score"}, {count, 1}},
      {{"object_pointers"}, {count, sizes_.masks, sizes_.width}},
      {{"absent_pointers"}, {count, sizes_.width}}};
  const auto numbers = checked_outputs(backend_, Component::kSamDecoder, wanted);
  const auto ious = [&](size_t i) { return numbers[0].f32().subspan(i * masks, masks); };
  const auto pointer = [&](const Tensor& pointers, size_t row) {
    const auto width = static_cast<size_t>(sizes_.width);
    const auto values = pointers.f32().subspan(row * width, width);
    return std::make_shared<const std::vector<float>>(values.begin(), values.end());
  };
  std::vector<DecodeOutput> outputs(group.size());
  std::vector<size_t> shown;    // objects whose mask comes from the decoder
  std::vector<size_t> singles;  // planes on which that hangs
  for (size_t i = 0; i < group.size(); ++i) {
    const DecodeInput& input = *group[i];
    ObjectView& view = outputs[i].view;
    view.object_score = numbers[1].f32()[i];
    view.pointer = pointer(numbers[2], i * masks + choose_pointer(ious(i), input.multimask));
    outputs[i].absent = pointer(numbers[3], i);
    view.iou = ious(i)[choose_mask(ious(i), input.multimask, false)];
    if (!input.mask.empty()) continue;
    if (!(view.object_score > 0.0F)) {
      view.mask = absent_mask(place);
      continue;
    }
    shown.push_back(i);
    if (hangs_on_single(input.multimask, *config_.tracker)) singles.push_back(i * masks);
  }
  const auto stable = are_stable(backend_, singles, sizes_.mask_side(), *config_.tracker);
  std::vector<size_t> planes;
  auto next = stable.begin();
  for (const size_t i : shown) {
    const bool multimask = group[i]->multimask;
    const bool unstable = hangs_on_single(multimask, *config_.tracker) && !*next++;
    const size_t mask = choose_mask(ious(i), multimask, unstable);
    outputs[i].view.iou = ious(i)[mask];
    planes.push_back(i * masks + mask);
  }
  std::vector<LogitPlane> chosen = decoder_planes(std::move(planes), place);
  for (size_t n = 0; n < shown.size(); ++n) outputs[shown[n]].view.mask = std::move(chosen[n]);
  return outputs;
}

/// Makes `object_features` what the group is decoded on.
void BackendTracker::put_features(Group group) {
  const FrameFeatures wanted = group.front()->features;
  if (wanted == FrameFeatures::kMemory) {
    put_memories(group);
  } else if (wanted == FrameFeatures::kRaw && features_ != wanted) {
    backend_.put_output(Component::kSamDecoder, "object_features", Component::kTrackerNeck,
                        "tracker_feat_2");
  } else if (features_ != wanted) {
    backend_.run(Component::kTrackerNeck, sizes_with({}));
  }
  features_ = wanted;
}

/// Frames and pointers of an object that the backend wants at least, absent ones counted.
std::array<int64_t, 2> BackendTracker::padded_memories() {
  const Component attention = Component::kMemoryAttention;
  return {backend_.padded_size(attention, "memory_present", 1),
          backend_.padded_size(attention, "pointer_present", 1)};
}

void BackendTracker::put_memories(Group group) {
  const auto count = static_cast<int64_t>(group.size());
  auto [frames, pointers] = padded_memories();
  for (const DecodeInput* input : group) {
    frames = std::max(frames, static_cast<int64_t>(input->memory.frames.size()));
    pointers = std::max(pointers, static_cast<int64_t>(input->memory.pointers.size()));
  }
  std::vector<FrameMemory> features(static_cast<size_t>(count * frames));
  Tensor times(DType::kI64, {count, frames});
  Tensor frames_present(DType::kF32, {count, frames});
  Tensor values(DType::kF32, {count, pointers, sizes_.width});
  Tensor pointer_times(DType::kF32, {count, pointers});
  Tensor pointers_present(DType::kF32, {count, pointers});
  for (size_t i = 0; i < group.size(); ++i) {
    const ObjectMemory& memory = group[i]->memory;
    const size_t frame = i * static_cast<size_t>(frames);
    std::ranges::copy(memory.frames, features.begin() + static_cast<int64_t>(frame));
    std::ranges::copy(memory.times, times.i64().subspan(frame).begin());
    std::ranges::fill(frames_present.f32().subspan(frame, memory.frames.size()), 1.0F);
    const size_t row = i * static_cast<size_t>(pointers);
    auto value = values.f32().subspan(row * static_cast<size_t>(sizes_.width)).begin();
    for (const ObjectPointer& pointer : memory.pointers) {
      value = std::ranges::copy(*pointer, value).out;
    }
    std::ranges::copy(memory.pointer_times, pointer_times.f32().subspan(row).begin());
    std::ranges::fill(pointers_present.f32().subspan(row, memory.pointers.size()), 1.0F);
  }
  const Component attention = Component::kMemoryAttention;
  backend_.put(attention, "image_index", count_up(count, 0));
  backend_.put_kept(attention, "memory_features", features,
                    {count, frames, sizes_.grid * sizes_.grid, sizes_.memory_channels});
  backend_.put(attention, "memory_time", times);
  backend_.put(attention, "memory_pointers", values);
  backend_.put(attention, "pointer_time", pointer_times);
  backend_.put(attention, "memory_present", frames_present);
  backend_.put(attention, "pointer_present", pointers_present);
  backend_.run(attention, sizes_with({{"O", count}, {"E", count}, {"F", frames}, {"W", pointers}}));
}

void BackendTracker::put_masks(Group group) {
  const auto count = static_cast<int64_t>(group.size());
  const bool refined = !group.front()->previous.empty();
  const bool masked = !group.front()->mask.empty();
  Tensor has_mask(DType::kF32, {count});
  std::ranges::fill(has_mask.f32(), masked || refined ? 1.0F : 0.0F);
  backend_.put(Component::kSamDecoder, "has_mask", has_mask);
  const int64_t side = sizes_.mask_side();
  if (refined) {
    Tensor logits(DType::kF32, {count, 1, side, side});
    auto logit = logits.f32().begin();
    for (const DecodeInput* input : group) logit = std::ranges::copy(input->previous, logit).out;
    backend_.put(Component::kSamDecoder, "mask_input", logits);
    return;
  }
  if (!masked) {
    backend_.put_zeros("mask_input", {count, 1, side, side});
    return;
  }
  std::vector<ResizedPlane> masks;
  masks.reserve(group.size());
  for (const DecodeInput* input : group) masks.push_back({input->mask, input->mask_side});
  backend_.put_resized(Component::kMaskPrompt, "object_mask", masks, axes_.at("Y"));
  backend_.run(Component::kMaskPrompt, sizes_with({{"O", count}}));
}

std::vector<LogitMask> BackendTracker::clean(std::span<const LogitPlane> masks, int64_t max_area) {
  std::vector<LogitMask> cleaned;
  cleaned.reserve(masks.size());
  for (CleanedPlane& plane : backend_.clean_planes(masks, sizes_.mask_side(), max_area)) {
    cleaned.emplace_back(std::move(plane.plane), BitMask(std::move(plane.bits)));
  }
  return cleaned;
}

std::vector<FrameMask> BackendTracker::frame_masks(std::span<const LogitPlane> logits,
                                                   std::array<int64_t, 2> size) {
  std::vector<FrameMask> masks;
  for (FoundMask& mask :
       backend_.logit_masks(logits, sizes_.mask_side(), size, LogitCut::kAboveZero)) {
    if (!mask.finite) throw NonFiniteError(kBrokenPlane);
    masks.push_back({std::move(mask.counts), mask.area});
  }
  return masks;
}

std::vector<FrameMemory> BackendTracker::remember(std::span<const MemoryInput> masks) {
  if (masks.empty()) return {};
  std::vector<FrameMemory> memories;
  const size_t together = objects_together(backend_, masks.size());
  const bool padded = padded_memories()[0] > 0;
  for (size_t first = 0; first < masks.size(); first += together) {
    const auto part = masks.subspan(first, std::min(together, masks.size() - first));
    const size_t rows = padded ? together : part.size();  // the last one several times
    const auto count = static_cast<int64_t>(rows);
    std::vector<ResizedPlane> planes;
    Tensor binary(DType::kF32, {count});
    Tensor scores(DType::kF32, {count, 1});
    for (size_t i = 0; i < rows; ++i) {
      const MemoryInput& mask = part[std::min(i, part.size() - 1)];
      planes.push_back({mask.mask, mask.side, mask.through_image ? sizes_.image : 0});
      binary.f32()[i] = mask.binary ? 1.0F : 0.0F;
      scores.f32()[i] = mask.object_score;
    }
    const Component encoder = Component::kMemoryEncoder;
    backend_.put(encoder, "image_index", count_up(count, 0));
    backend_.put_resized(encoder, "memory_mask", planes, sizes_.memory_mask_side());
    backend_.put(encoder, "is_binary", binary);
    backend_.put(encoder, "object_score", scores);
    backend_.run(encoder, sizes_with({{"O", count}}));
    auto kept = backend_.keep_rows(encoder, "frame_memory");
    kept.resize(part.size());
    std::ranges::move(kept, std::back_inserter(memories));
  }
  return memories;
}

}  // namespace sam3trt
