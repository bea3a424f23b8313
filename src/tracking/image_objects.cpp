#include "tracking/image_objects.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <tuple>

#include "base/error.hpp"
#include "base/sigmoid.hpp"
#include "image/mask_cleanup.hpp"
#include "image/resize.hpp"
#include "image/rle.hpp"
#include "runtime/stage.hpp"
#include "tracking/decoder_calls.hpp"
#include "tracking/everything.hpp"
#include "tracking/object_input.hpp"
#include "tracking/object_mask.hpp"

namespace sam3trt {
namespace {

/// Objects that go through the decoder together; bounds memory.
constexpr size_t kTogether = 64;

size_t objects_together(const Backend& backend) {
  return std::clamp<size_t>(backend.limits().objects, 1, kTogether);
}

/// Meta's interactive predictor fills holes of at most so many pixels of the decoder's masks
/// (SAM3InteractiveImagePredictor, max_hole_area).
constexpr int64_t kMetaHoleArea = 256;

/// What the prompt's mask is to the decoder, at its size. Sam3TrackerModel takes a mask of an
/// image's size as it is: 0 outside and 1 inside. Meta's predictor takes logits only: those that
/// its tracker makes of a mask, -10 and 10.
std::vector<float> mask_input_of(const ObjectPrompt& prompt, int64_t side, Semantics semantics) {
  if (prompt.previous) return prompt.previous->values;
  const ObjectMask& mask = *prompt.mask;
  const std::vector<uint8_t> pixels = rle_decode(mask.counts, mask.height, mask.width);
  std::vector<float> values(pixels.begin(), pixels.end());
  if (semantics == Semantics::kMeta) values = mask_logits(values);
  std::vector<float> input(static_cast<size_t>(side * side));
  resize_bilinear_antialias(values, mask.height, mask.width, input, side, side);
  return input;
}

bool has_mask(const ObjectPrompt& prompt) { return prompt.mask || prompt.previous; }

/// The masks of one object that are wanted: one, or those of the multimask output.
struct Choice {
  std::vector<size_t> masks;
  size_t best = 0;  ///< Index into `masks`.
};

Choice choose(std::span<const float> ious, bool multimask, bool unstable) {
  if (!multimask) return {{choose_mask(ious, multimask, unstable)}, 0};
  Choice choice{std::vector<size_t>(ious.size() - 1), best_of_several(ious) - 1};
  std::iota(choice.masks.begin(), choice.masks.end(), 1);
  return choice;
}

}  // namespace

void check_image_objects(const ImagePointers& image, int64_t mask_side) {
  for (const ObjectPrompt& prompt : image.objects) {
    check_any_object_prompt(prompt);
    check_object_prompt(prompt, image.size[0], image.size[1]);
    if (!prompt.previous) continue;
    const std::string name = "object " + std::to_string(prompt.id);
    const MaskLogits& logits = *prompt.previous;
    if (prompt.mask) {
      throw_bad_input(name + ": a mask and logits of an earlier result; give one of them");
    }
    if (logits.side != mask_side ||
        logits.values.size() != static_cast<size_t>(mask_side * mask_side)) {
      throw_bad_input(name + ": the logits of an earlier result are " +
                      std::to_string(logits.values.size()) + " values of side " +
                      std::to_string(logits.side) + ", this model's have side " +
                      std::to_string(mask_side));
    }
    if (!all_finite(logits.values)) {
      throw_bad_input(name + ": a logit of an earlier result is not a finite number");
    }
  }
}

/// Objects of one image that go through the decoder together.
struct ImageObjects::Group {
  size_t image = 0;
  std::array<int64_t, 2> size{};
  std::vector<size_t> members;  ///< Indices into the image's objects.
  std::vector<const ObjectPrompt*> prompts;
  std::vector<std::vector<PromptToken>> tokens;  ///< Equally many for each.
};

ImageObjects::ImageObjects(const ModelConfig& config, Semantics semantics)
    : config_(config), semantics_(semantics), sizes_(model_sizes(config)) {
  if (!config.tracker) throw Error(ErrorCode::kInternal, "clicks for a model without a tracker");
}

/// Hugging Face's processor pads the points of all objects of a call to the same number with a
/// token that is attended to; Meta's predictor takes objects with equally many points only.
std::vector<ImageObjects::Group> ImageObjects::group_objects(const ImagePointers& image,
                                                             size_t index, size_t together) const {
  const bool padded = semantics_ == Semantics::kHf;
  std::map<std::tuple<bool, bool, bool, size_t>, std::vector<size_t>> kinds;
  for (size_t i = 0; i < image.objects.size(); ++i) {
    const ObjectPrompt& prompt = image.objects[i];
    kinds[{!prompt.points.empty(), prompt.box.has_value(), has_mask(prompt),
           padded ? 0 : prompt.points.size()}]
        .push_back(i);
  }
  std::vector<Group> groups;
  for (const auto& [kind, members] : kinds) {
    size_t most = 0;  // of the whole kind, which the reference would run in one call
    for (const size_t i : members) most = std::max(most, image.objects[i].points.size());
    for (size_t first = 0; first < members.size(); first += together) {
      Group& group = groups.emplace_back();
      group.image = index;
      group.size = image.size;
      for (size_t i = first; i < std::min(first + together, members.size()); ++i) {
        const ObjectPrompt& prompt = image.objects[members[i]];
        group.members.push_back(members[i]);
        group.prompts.push_back(&prompt);
        auto tokens = prompt_tokens(prompt, image.size[0], image.size[1], config_.image_size);
        tokens.resize(tokens.size() + most - prompt.points.size(), {0, 0, kPaddingLabel});
        group.tokens.push_back(std::move(tokens));
      }
    }
  }
  return groups;
}

std::vector<std::vector<ObjectResult>> ImageObjects::run(Backend& backend,
                                                         const FeatureStore& features,
                                                         std::span<const ImagePointers> images,
                                                         const InteractOptions& options) {
  run_neck(backend, features, images.size());
  std::vector<std::vector<ObjectResult>> results;
  for (size_t image = 0; image < images.size(); ++image) {
    auto& found = results.emplace_back(images[image].objects.size());
    for (const Group& group : group_objects(images[image], image, objects_together(backend))) {
      decode(backend, group, images.size());
      read_results(backend, group, options, found);
    }
  }
  return results;
}

/// The neck's outputs stay in the backend until it runs again: nothing else in a session runs it.
void ImageObjects::run_neck(Backend& backend, const FeatureStore& features, size_t images) {
  if (neck_of_ == features.id()) return;
  neck_of_.reset();
  AxisSizes sizes = sizes_;
  sizes["B"] = static_cast<int64_t>(images);
  backend.run(Component::kTrackerNeck, sizes);
  neck_of_ = features.id();
}

void ImageObjects::decode(Backend& backend, const Group& group, size_t images) const {
  const auto count = static_cast<int64_t>(group.members.size());
  const auto tokens = static_cast<int64_t>(group.tokens.front().size());
  const int64_t side = mask_side();
  Tensor rows(DType::kI64, {count});
  std::ranges::fill(rows.i64(), static_cast<int64_t>(group.image));
  std::vector<const std::vector<PromptToken>*> asked;
  asked.reserve(group.tokens.size());
  for (const auto& object : group.tokens) asked.push_back(&object);
  put_tokens(backend, asked);
  const bool masked = has_mask(*group.prompts.front());
  Tensor flags(DType::kF32, {count});
  std::ranges::fill(flags.f32(), masked ? 1.0F : 0.0F);
  const Component decoder = Component::kSamDecoder;
  backend.put(decoder, "feature_index", rows);
  backend.put(decoder, "image_index", rows);
  backend.put(decoder, "has_mask", flags);
  if (masked) {
    Tensor masks(DType::kF32, {count, 1, side, side});
    auto target = masks.f32().begin();
    for (const ObjectPrompt* prompt : group.prompts) {
      target = std::ranges::copy(mask_input_of(*prompt, side, semantics_), target).out;
    }
    backend.put(decoder, "mask_input", masks);
  } else {
    backend.put_zeros("mask_input", {count, 1, side, side});
  }
  AxisSizes sizes = sizes_;
  sizes["B"] = static_cast<int64_t>(images);
  sizes["E"] = static_cast<int64_t>(images);
  sizes["O"] = count;
  sizes["A"] = tokens;
  backend.run(decoder, sizes);
}

/// Meta's interactive predictor fills holes, which the host does. `wanted` are of one image.
std::vector<FoundMask> ImageObjects::make_masks(Backend& backend, std::span<const MaskPlane> wanted,
                                                int64_t planes) const {
  const int64_t side = mask_side();
  if (semantics_ != Semantics::kMeta) return backend.object_masks(wanted, planes, side);
  const auto area = static_cast<size_t>(side * side);
  std::vector<size_t> read;
  for (const MaskPlane& plane : wanted) read.push_back(plane.plane);
  const Tensor logits = decoder_masks(backend, std::move(read), side);
  std::vector<LogitPlane> filled;
  filled.reserve(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto plane = logits.f32().subspan(i * area, area);
    std::vector<float> values(plane.begin(), plane.end());
    fill_holes(values, side, kMetaHoleArea);
    filled.emplace_back(std::move(values));
  }
  const MaskPlane& first = wanted.front();
  return backend.logit_masks(filled, side, {first.width, first.height}, LogitCut::kProbable);
}

void ImageObjects::read_results(Backend& backend, const Group& group,
                                const InteractOptions& options,
                                std::vector<ObjectResult>& results) const {
  const TrackerConfig& tracker = *config_.tracker;
  const auto count = static_cast<int64_t>(group.members.size());
  const auto per_object = static_cast<size_t>(tracker.mask_tokens);
  const int64_t side = mask_side();
  const auto area = static_cast<size_t>(side * side);
  const std::vector<WantedOutput> numbers = {{{"iou_scores"}, {count, tracker.mask_tokens}},
                                             {{"object_score"}, {count, 1}}};
  const auto read = checked_outputs(backend, Component::kSamDecoder, numbers);
  const Tensor& ious = read[0];
  const Tensor& scores = read[1];
  std::vector<size_t> singles;  // only where the choice hangs on them
  for (size_t i = 0; hangs_on_single(options.multimask, tracker) && i < group.members.size(); ++i) {
    singles.push_back(i * per_object);
  }
  const auto stable = are_stable(backend, singles, side, tracker);
  std::vector<Choice> choices;
  std::vector<MaskPlane> wanted;
  std::vector<size_t> best;
  for (size_t i = 0; i < group.members.size(); ++i) {
    const bool unstable = !singles.empty() && !stable[i];
    choices.push_back(
        choose(ious.f32().subspan(i * per_object, per_object), options.multimask, unstable));
    for (const size_t mask : choices.back().masks) {
      wanted.push_back({i * per_object + mask, group.size[1], group.size[0]});
    }
    best.push_back(i * per_object + choices.back().masks[choices.back().best]);
  }
  std::vector<FoundMask> masks = make_masks(backend, wanted, count * tracker.mask_tokens);
  Tensor logits;
  if (options.logits) logits = decoder_masks(backend, best, side);
  Tensor all;  // logits of all candidates
  if (options.multimask && options.candidate_logits) {
    std::vector<size_t> planes;
    std::ranges::transform(wanted, std::back_inserter(planes), &MaskPlane::plane);
    all = decoder_masks(backend, std::move(planes), side);
  }
  auto mask = masks.begin();
  for (size_t i = 0; i < group.members.size(); ++i) {
    ObjectResult& result = results[group.members[i]];
    const Choice& choice = choices[i];
    result.id = group.prompts[i]->id;
    result.object_score = precise_sigmoid(scores.f32()[i]);
    for (size_t m = 0; m < choice.masks.size(); ++m, ++mask) {
      if (!mask->finite) throw NonFiniteError(nonfinite_in("sam_decoder", "sam_masks"));
      const float score = ious.f32()[i * per_object + choice.masks[m]];
      if (m == choice.best) {
        result.score = score;
        result.area = mask->area;
        result.box = rle_box(mask->counts, group.size[1]);
        result.counts = mask->counts;
      }
      if (options.multimask) {
        MaskCandidate& candidate = result.candidates.emplace_back();
        candidate = {score, mask->area, std::move(mask->counts)};
        if (options.candidate_logits) {
          const auto index = static_cast<size_t>(mask - masks.begin());
          const auto plane = all.f32().subspan(index * area, area);
          candidate.logits = {side, {plane.begin(), plane.end()}};
        }
      }
    }
    if (!options.logits) continue;
    const auto plane = logits.f32().subspan(i * area, area);
    result.logits = {side, {plane.begin(), plane.end()}};
  }
}

std::vector<ObjectResult> ImageObjects::everything(Backend& backend, const FeatureStore& features,
                                                   std::span<const ImagePointers> images,
                                                   size_t index, const EverythingOptions& options) {
  run_neck(backend, features, images.size());
  const auto& size = images[index].size;
  const std::vector<ObjectPrompt> clicks = grid_of_clicks(options, size[0], size[1]);
  std::vector<ObjectResult> found;
  for (const Group& group : group_objects({size, clicks}, index, objects_together(backend))) {
    decode(backend, group, images.size());
    read_grid(backend, group, options, found);
  }
  return without_duplicates(std::move(found), options.nms_threshold);
}

/// Every mask of the multimask output counts by itself.
void ImageObjects::read_grid(Backend& backend, const Group& group, const EverythingOptions& options,
                             std::vector<ObjectResult>& found) const {
  const auto count = static_cast<int64_t>(group.members.size());
  const auto per_object = static_cast<size_t>(config_.tracker->mask_tokens);
  const int64_t side = mask_side();
  const auto area = static_cast<size_t>(side * side);
  const auto [width, height] = group.size;
  const std::vector<WantedOutput> numbers = {
      {{"iou_scores"}, {count, config_.tracker->mask_tokens}}, {{"object_score"}, {count, 1}}};
  const auto read = checked_outputs(backend, Component::kSamDecoder, numbers);
  const auto ious = read[0].f32();
  std::vector<size_t> planes;
  for (size_t plane = 0; plane < ious.size(); ++plane) {
    const bool single = plane % per_object == 0;
    if (!single && ious[plane] > options.score_threshold) planes.push_back(plane);
  }
  const Tensor logits = decoder_masks(backend, planes, side);
  std::vector<float> resized(static_cast<size_t>(width) * static_cast<size_t>(height));
  std::vector<uint8_t> inside(resized.size());
  for (size_t i = 0; i < planes.size(); ++i) {
    resize_bilinear(logits.f32().subspan(i * area, area), side, side, resized, height, width);
    if (stability_of(resized) < options.stability_threshold) continue;
    std::ranges::transform(resized, inside.begin(),
                           [](float value) { return static_cast<uint8_t>(value > 0 ? 1 : 0); });
    ObjectResult& object = found.emplace_back();
    object.score = ious[planes[i]];
    object.object_score = precise_sigmoid(read[1].f32()[planes[i] / per_object]);
    object.counts = rle_counts(inside, height, width);
    object.area = std::accumulate(inside.begin(), inside.end(), int64_t{0});
    object.box = rle_box(object.counts, height);
  }
}

}  // namespace sam3trt
