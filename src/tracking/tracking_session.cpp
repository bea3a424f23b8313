#include "tracking/tracking_session.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/parallel.hpp"
#include "tracking/frame_result.hpp"
#include "tracking/object_input.hpp"
#include "tracking/text_tracker.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMaxFrame = int64_t{1} << 40;
constexpr int64_t kMaxHotStart = 1000;
constexpr int64_t kMaxId = int64_t{1} << 40;

void check_options(const TrackOptions& options) {
  if (options.hot_start && (*options.hot_start < 0 || *options.hot_start > kMaxHotStart)) {
    throw_bad_input("hot start of " + std::to_string(*options.hot_start) +
                    " frames; expected 0 to " + std::to_string(kMaxHotStart));
  }
  if (options.det_nms && !(*options.det_nms > 0 && *options.det_nms <= 1)) {
    throw_bad_input("an IoU of " + std::to_string(*options.det_nms) +
                    " to suppress detections; expected more than 0 and at most 1, which is off");
  }
  if (options.fill_holes && *options.fill_holes < 0) {
    throw_bad_input("holes of " + std::to_string(*options.fill_holes) +
                    " pixels to fill; expected 0 or more");
  }
  if (options.max_objects && *options.max_objects == 0) {
    throw_bad_input("at most 0 objects; expected 1 or more");
  }
  if (options.frames && *options.frames < 1) {
    throw_bad_input("a video of " + std::to_string(*options.frames) +
                    " frames; expected 1 or more");
  }
}

void check_frame(int64_t frame) {
  if (frame >= 0 && frame < kMaxFrame) return;
  throw_bad_input("frame " + std::to_string(frame) + "; expected 0 to " +
                  std::to_string(kMaxFrame - 1));
}

/// The joint score of Meta's video detector passes through a logit of limited size.
float cut_score(float score) {
  constexpr double kLeast = 1e-3;
  const auto inside = static_cast<double>(score);
  const double odds = std::max(inside, kLeast) / std::max(1 - inside, kLeast);
  return static_cast<float>(odds / (1 + odds));
}

bool is_of_text(const TrackingState& state, int64_t id) {
  return std::ranges::find(state.text.tracks, id, &TextTrack::id) != state.text.tracks.end();
}

std::set<int64_t> all_ids(const TrackingState& state) {
  std::set<int64_t> ids;
  for (const VisualTrack& track : state.visual) ids.insert(track.id);
  for (const TextTrack& track : state.text.tracks) ids.insert(track.id);
  for (const PendingObject& pending : state.pending) ids.insert(pending.prompt.id);
  return ids;
}

void forget_held(TrackingState& state, int64_t id) {
  const auto is_it = [&](const HeldObject& object) { return object.object.id == id; };
  for (std::shared_ptr<const HeldFrame>& held : state.held) {
    if (std::ranges::none_of(held->objects, is_it)) continue;
    HeldFrame rest = *held;
    std::erase_if(rest.objects, is_it);
    held = std::make_shared<const HeldFrame>(std::move(rest));
  }
}

}  // namespace

TrackingSession::TrackingSession(TrackerModel& model, const TrackerConfig& config,
                                 const TrackOptions& options, const TrackingRules& rules)
    : model_(model), model_config_(config), rules_(rules) {
  use(options);
}

void TrackingSession::use(const TrackOptions& options) {
  check_options(options);
  options_ = options;
  config_ = model_config_;
  if (options.hot_start.value_or(0) > 0) config_.hotstart_delay = *options.hot_start;
  if (options.det_nms) config_.det_nms_thresh = *options.det_nms;
  if (options.fill_holes) config_.fill_hole_area = *options.fill_holes;
  if (options.max_objects) {
    config_.max_num_objects = static_cast<int64_t>(
        std::min<size_t>(*options.max_objects, static_cast<size_t>(INT32_MAX)));
  }
}

void TrackingSession::restore(TrackingState state, const TrackOptions& options) {
  const auto moved = [&](const FrameMemory& memory) { return model_.restore(memory->bf16()); };
  for (VisualTrack& track : state.visual) track.bank.move_memories(moved);
  for (TextTrack& track : state.text.tracks) track.bank.move_memories(moved);
  const bool logits = options_.logits;
  use(options);
  options_.logits = logits;
  state_ = std::move(state);
}

void TrackingSession::add(const Prompt& concept_prompt) {
  const auto known = std::ranges::find(state_.concepts, concept_prompt.text, &Concept::text);
  if (known == state_.concepts.end()) {
    state_.concepts.push_back({concept_prompt.text, concept_prompt.boxes});
  } else if (!concept_prompt.boxes.empty()) {
    known->boxes = concept_prompt.boxes;
  }
}

void TrackingSession::add(const ObjectPrompt& object, int64_t frame) {
  check_frame(frame);
  check_object_prompt(object);
  if (object.id >= kMaxId) {
    throw_bad_input("object " + std::to_string(object.id) + ": ids of objects are below " +
                    std::to_string(kMaxId));
  }
  if (is_of_text(state_, object.id)) {
    throw_bad_input("object " + std::to_string(object.id) +
                    " was found by a text, and clicks cannot correct it; remove it and point at "
                    "the object under an id of its own");
  }
  std::set<int64_t> ids = all_ids(state_);
  ids.insert(object.id);
  if (static_cast<int64_t>(ids.size()) > config_.max_num_objects) {
    throw_bad_input("object " + std::to_string(object.id) + " would be one more than the " +
                    std::to_string(config_.max_num_objects) +
                    " objects that this session follows at most; remove one, or allow more");
  }
  std::erase_if(state_.pending, [&](const PendingObject& pending) {
    return pending.frame == frame && pending.prompt.id == object.id;
  });
  state_.pending.push_back({frame, object});
  state_.max_id = std::max(state_.max_id, object.id);
}

size_t TrackingSession::delay(const TrackingState& state) const {
  const bool at_once = options_.live || options_.hot_start == 0 || state.concepts.empty();
  return at_once ? 0 : static_cast<size_t>(std::max<int64_t>(config_.hotstart_delay, 0));
}

int64_t TrackingSession::pointers(const TrackingState& state, bool text) const {
  const int64_t most = config_.max_object_pointers;
  if (options_.live) return text ? std::min(state.frames, most) : most;
  return options_.frames ? std::min(*options_.frames, most) : most;
}

void TrackingSession::begin_frame(TrackingState& state, int64_t frame) const {
  check_frame(frame);
  if (state.last && frame == *state.last) {
    if (state.concepts.empty()) return;
    throw_bad_input("frame " + std::to_string(frame) +
                    " was given already; with texts every frame is given once");
  }
  const bool reverse = state.last && frame < *state.last;
  const bool turns = state.frames > 1 && reverse != state.reverse;  // one frame has no direction
  if (turns && !state.held.empty()) {
    throw_bad_input("frame " + std::to_string(frame) + " after frame " +
                    std::to_string(*state.last) + " turns the direction while results of " +
                    std::to_string(state.held.size()) +
                    " frames are held back; finish this direction first");
  }
  state.reverse = reverse;
  state.last = frame;
  ++state.frames;
}

std::vector<TextOutput> TrackingSession::step_texts(TrackingState& state, int64_t width,
                                                    int64_t height) {
  if (state.concepts.empty()) return {};
  TextStepOptions options;
  options.live = options_.live;
  options.next_id = state.max_id + 1;
  const size_t others = all_ids(state).size() - state.text.tracks.size();
  const auto most = static_cast<size_t>(std::max<int64_t>(config_.max_num_objects, 0));
  options.room = most > others ? most - others : 0;
  std::vector<Prompt> prompts;
  std::vector<size_t> whose;
  for (size_t i = 0; i < state.concepts.size(); ++i) {
    Concept& wanted = state.concepts[i];
    options.searched.push_back(wanted.text || !wanted.boxes.empty());
    if (!options.searched.back()) continue;
    prompts.push_back({wanted.text, std::exchange(wanted.boxes, {})});
    whose.push_back(i);
  }
  std::vector<FoundObject> found;
  if (!prompts.empty()) {
    auto detections = model_.detect(prompts, {width, height},
                                    static_cast<float>(config_.score_threshold_detection));
    for (size_t i = 0; i < detections.size(); ++i) {
      std::vector<FoundObject> objects;
      for (TrackerDetection& detection : detections[i]) {
        const float score = rules_.cut_scores ? cut_score(detection.score) : detection.score;
        objects.push_back({whose[i], score, std::move(detection.mask), std::move(detection.bits)});
      }
      objects = suppress_overlaps(std::move(objects), static_cast<float>(config_.det_nms_thresh));
      std::ranges::move(objects, std::back_inserter(found));
    }
  }
  const FrameTime time{*state.last, state.reverse, pointers(state, true)};
  options.width = width;
  options.height = height;
  const TextTracker tracker(model_, config_, rules_);
  const auto note_ids = [&] {
    if (state.text.tracks.empty()) return;
    state.max_id = std::max(state.max_id, state.text.tracks.back().id);
    options.next_id = state.max_id + 1;
  };
  if (rules_.first_frame_twice && state.frames == 1) {
    (void)tracker.step(state.text, found, time, options);
    note_ids();
  }
  TextStep result = tracker.step(state.text, std::move(found), time, options);
  for (const int64_t id : result.removed) forget_held(state, id);
  note_ids();
  if (result.left_out > 0 && !told_of_limit_) {
    told_of_limit_ = true;  // once: it would be said on every frame on which they are in view
    log(LogLevel::kWarning, "frame " + std::to_string(*state.last) + ": " +
                                std::to_string(result.left_out) +
                                " new objects are left out, which is not said again: at most " +
                                std::to_string(most) + " are followed");
  }
  return std::move(result.outputs);
}

std::vector<TrackStepOutput> TrackingSession::step_objects(TrackingState& state, int64_t width,
                                                           int64_t height) {
  std::vector<ObjectPrompt> prompts;
  std::erase_if(state.pending, [&](PendingObject& pending) {
    if (pending.frame != *state.last) return false;
    prompts.push_back(std::move(pending.prompt));
    return true;
  });
  if (prompts.empty() && state.visual.empty()) return {};
  const FrameTime time{*state.last, state.reverse, pointers(state, false)};
  return VisualTracker(model_, config_, rules_).step(state.visual, prompts, time, width, height);
}

/// The masks of all objects go to the size of the frame together.
HeldFrame TrackingSession::hold(const TrackingState& state, const ImageView& image,
                                std::span<const TextOutput> texts,
                                std::span<const TrackStepOutput> objects) {
  std::vector<LogitPlane> logits;
  logits.reserve(texts.size() + objects.size());
  for (const TextOutput& text : texts) logits.push_back(text.output.mask);
  for (const TrackStepOutput& output : objects) logits.push_back(output.mask);
  HeldFrame held{*state.last, image.width, image.height, {}};
  if (logits.empty()) return held;
  std::vector<FrameMask> masks = model_.frame_masks(logits, {image.width, image.height});
  const int64_t side = model_.sizes().mask_side();
  std::vector<TrackedObject> shown(masks.size());
  run_parallel(masks.size(), 4, [&](size_t i) {
    const TrackStepOutput& output = i < texts.size() ? texts[i].output : objects[i - texts.size()];
    shown[i] = shown_object(output, std::move(masks[i]), image.height);
  });
  auto next = shown.begin();
  for (const TextOutput& text : texts) {
    TrackedObject& object = *next++;
    if (object.area == 0) continue;
    object.prompt = state.concepts[text.concept_index].text;
    object.score = text.score;
    object.confirmed = text.confirmed || delay(state) > 0;
    if (options_.logits) object.logits = {side, values_of(text.output.mask)};
    held.objects.push_back({std::move(object), text.concept_index});
  }
  for (const TrackStepOutput& output : objects) {
    TrackedObject& object = *next++;
    if (object.area == 0 && !options_.logits) continue;
    if (options_.logits) object.logits = {side, values_of(output.mask)};
    held.objects.push_back({std::move(object), std::nullopt});
  }
  std::ranges::sort(held.objects, {}, [](const HeldObject& object) { return object.object.id; });
  return held;
}

std::vector<FrameResult> TrackingSession::step(const ImageView& image, int64_t frame) {
  TrackingState state = state_;
  begin_frame(state, frame);
  model_.encode(image);
  std::vector<TextOutput> texts = step_texts(state, image.width, image.height);
  std::erase_if(texts, &TextOutput::suppressed);
  const auto objects = step_objects(state, image.width, image.height);
  HeldFrame now = hold(state, image, texts, objects);
  const size_t delayed = delay(state);
  std::vector<FrameResult> results;
  if (delayed == 0 && state.held.empty()) {
    results.push_back(final_result(std::move(now)));
  } else {
    state.held.push_back(std::make_shared<const HeldFrame>(std::move(now)));
    results = release(state, delayed > 0 ? delayed - 1 : 0);
  }
  state_ = std::move(state);
  return results;
}

std::vector<FrameResult> TrackingSession::release(TrackingState& state, size_t keep) const {
  std::vector<FrameResult> results;
  while (state.held.size() > keep) {
    results.push_back(final_result(*state.held.front()));
    state.held.erase(state.held.begin());
  }
  return results;
}

std::vector<FrameResult> TrackingSession::finish() { return release(state_, 0); }

void TrackingSession::remove(int64_t id) {
  if (!all_ids(state_).contains(id)) {
    throw_bad_input("there is no object " + std::to_string(id) + " to remove");
  }
  std::erase_if(state_.visual, [&](const VisualTrack& track) { return track.id == id; });
  std::erase_if(state_.text.tracks, [&](const TextTrack& track) { return track.id == id; });
  std::erase_if(state_.text.shared, [&](const auto& entry) {
    return entry.first.first == id || entry.first.second == id;
  });
  std::erase_if(state_.pending,
                [&](const PendingObject& pending) { return pending.prompt.id == id; });
  forget_held(state_, id);
}

std::vector<int64_t> TrackingSession::objects() const {
  std::vector<int64_t> ids;
  for (const VisualTrack& track : state_.visual) ids.push_back(track.id);
  for (const TextTrack& track : state_.text.tracks) ids.push_back(track.id);
  std::ranges::sort(ids);
  return ids;
}

}  // namespace sam3trt
