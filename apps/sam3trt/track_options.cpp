#include "track_options.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "concepts.hpp"
#include "prompts/mask_image.hpp"
#include "runtime/prompt.hpp"

namespace sam3trt {
namespace {

/// "frame:value"; without a frame it is 0.
struct Placed {
  int64_t frame = 0;
  std::string value;
};

Placed split_frame(const std::string& text, const std::string& option) {
  const size_t colon = text.find(':');
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (colon == std::string::npos || digits != colon || colon == 0) return {0, text};
  Placed placed{0, text.substr(colon + 1)};
  const auto [end, error] = std::from_chars(text.data(), text.data() + colon, placed.frame);
  if (error != std::errc() || placed.frame > kMaxPromptFrame) {
    throw_bad_input(option + " " + text + ": expected a frame from 0 to " +
                    std::to_string(kMaxPromptFrame));
  }
  return placed;
}

/// The one object that the options of the command line describe: an entry for each of its frames.
class DescribedObject {
 public:
  explicit DescribedObject(int64_t id) : id_(id) {}

  ObjectPrompt& at(int64_t frame) {
    ObjectPrompt& prompt = frames_[frame];
    prompt.id = id_;
    return prompt;
  }

  void add_to(std::vector<PlacedObject>& objects) const {
    for (const auto& [frame, prompt] : frames_) objects.push_back({prompt, std::nullopt, frame});
  }

 private:
  int64_t id_;
  std::map<int64_t, ObjectPrompt> frames_;
};

template <typename Value>
void set_once(std::optional<Value>& target, Value value, const std::string& option) {
  if (target) {
    throw_bad_input(option +
                    ": the frame has one already; several objects go into a file for --prompts");
  }
  target = std::move(value);
}

void add_described(const TrackCommandOptions& options, TrackPlan& plan) {
  int64_t id = 1;
  for (const PlacedObject& object : plan.objects) id = std::max(id, object.prompt.id + 1);
  DescribedObject object(id);
  const auto add_points = [&](const std::vector<std::string>& texts, const std::string& option,
                              bool positive) {
    for (const std::string& text : texts) {
      const Placed placed = split_frame(text, option);
      object.at(placed.frame).points.push_back(parse_point(placed.value, option, positive));
    }
  };
  add_points(options.points, "--point", true);
  add_points(options.negative_points, "--negative-point", false);
  for (const std::string& text : options.object_boxes) {
    const Placed placed = split_frame(text, "--object-box");
    set_once(object.at(placed.frame).box, parse_box(placed.value, "--object-box"),
             "--object-box " + text);
  }
  for (const std::string& text : options.object_masks) {
    const Placed placed = split_frame(text, "--object-mask");
    set_once(object.at(placed.frame).mask, read_mask_image(placed.value), "--object-mask " + text);
  }
  object.add_to(plan.objects);
}

void refuse_images(const PromptFile& prompts, const std::string& file) {
  const auto refuse = [&](const std::optional<std::string>& image) {
    if (!image) return;
    throw_bad_input("--prompts " + file + ": names the image " + *image +
                    "; with --video prompts name a \"frame\"");
  };
  for (const PlacedObject& object : prompts.objects) refuse(object.image);
  for (const PlacedConcept& wanted : prompts.concepts) refuse(wanted.image);
}

}  // namespace

TrackPlan make_track_plan(const TrackCommandOptions& options) {
  TrackPlan plan;
  if (options.direction == "backward") plan.direction = TrackDirection::kBackward;
  if (options.direction == "both") plan.direction = TrackDirection::kBoth;
  for (Prompt& wanted : concepts_of(options.texts, options.boxes, options.negative_boxes)) {
    plan.concepts.push_back({std::move(wanted), std::nullopt, std::nullopt});
  }
  if (!options.prompts.empty()) {
    PromptFile prompts = read_prompt_file(options.prompts);
    refuse_images(prompts, options.prompts);
    plan.objects = std::move(prompts.objects);
    for (PlacedConcept& wanted : prompts.concepts) plan.concepts.push_back(std::move(wanted));
  }
  add_described(options, plan);
  if (plan.objects.empty() && plan.concepts.empty()) {
    throw_bad_input(
        "nothing to follow: give --text, --point, --object-box, --object-mask or "
        "--prompts");
  }
  return plan;
}

TrackOptions make_track_options(const TrackCommandOptions& options, std::optional<int64_t> frames) {
  TrackOptions result;
  if (options.hot_start >= 0) result.hot_start = options.hot_start;
  result.live = options.live;
  if (options.det_nms == "off") {
    result.det_nms = 1.0;
  } else if (!options.det_nms.empty()) {
    double value = 0;
    const char* const end = options.det_nms.data() + options.det_nms.size();
    const auto [at, error] = std::from_chars(options.det_nms.data(), end, value);
    if (error != std::errc() || at != end || !(value >= 0 && value <= 1)) {
      throw_bad_input("--det-nms " + options.det_nms + ": expected a number from 0 to 1, or off");
    }
    result.det_nms = value;
  }
  if (options.fill_holes >= 0) result.fill_holes = options.fill_holes;
  if (options.max_objects > 0) result.max_objects = static_cast<size_t>(options.max_objects);
  result.frames = frames;
  return result;
}

}  // namespace sam3trt
