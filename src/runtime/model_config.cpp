#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "runtime/model_files.hpp"

namespace sam3trt {
namespace {

constexpr size_t kMaxConfigBytes = 64 * 1024;

/// Reads fields of one JSON object and collects everything wrong with them.
class FieldReader {
 public:
  explicit FieldReader(const nlohmann::json& object) : object_(object) {}

  void read(const char* key, int64_t low, int64_t high, int64_t& value) {
    const auto found = object_.find(key);
    const bool fits =
        found != object_.end() && found->is_number_integer() &&
        (!found->is_number_unsigned() || found->get<uint64_t>() <= static_cast<uint64_t>(high)) &&
        found->get<int64_t>() >= low && found->get<int64_t>() <= high;
    if (fits) {
      value = found->get<int64_t>();
    } else {
      problem(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
    }
  }

  /// A finite number larger than 0.
  void read_factor(const char* key, double& value) {
    const auto found = object_.find(key);
    if (found != object_.end() && is_finite(*found) && found->get<double>() > 0) {
      value = found->get<double>();
    } else {
      problem(key, "a number larger than 0");
    }
  }

  void read_channels(const char* key, bool positive, std::array<double, 3>& values) {
    const auto found = object_.find(key);
    bool fits = found != object_.end() && found->is_array() && found->size() == values.size();
    for (size_t i = 0; fits && i < values.size(); ++i) {
      fits = is_finite((*found)[i]) && (!positive || (*found)[i].get<double>() > 0);
    }
    if (fits) {
      values = found->get<std::array<double, 3>>();
    } else {
      problem(key, positive ? "three numbers larger than 0" : "three numbers");
    }
  }

  void problem(const std::string& key, const std::string& expected) {
    problems_ += "\n  " + key + ": expected " + expected + ", found ";
    problems_ += object_.contains(key) ? object_[key].dump(-1, ' ', true).substr(0, 60) : "nothing";
  }

  /// One field of the tracker: a flag, a whole number or a number.
  void read_tracker(const char* key, bool& value) {
    const auto found = object_.find(key);
    if (found != object_.end() && found->is_boolean()) {
      value = found->get<bool>();
    } else {
      problem(key, "true or false");
    }
  }
  void read_tracker(const char* key, int64_t& value) {
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    read(key, -kMost, kMost, value);
  }
  void read_tracker(const char* key, double& value) {
    const auto found = object_.find(key);
    if (found != object_.end() && is_finite(*found)) {
      value = found->get<double>();
    } else {
      problem(key, "a number");
    }
  }

  [[nodiscard]] const std::string& problems() const { return problems_; }

 private:
  static bool is_finite(const nlohmann::json& value) {
    return value.is_number() && std::isfinite(value.get<double>());
  }

  const nlohmann::json& object_;
  std::string problems_;
};

/// Problems of the object under "tracker".
std::string read_tracker(const nlohmann::json& object, ModelConfig& config) {
  if (!object.is_object()) return "\n  tracker: expected an object";
  constexpr int64_t kMaxWidth = 1 << 16;
  constexpr int64_t kMaxChannels = 1 << 12;
  constexpr int64_t kMaxRows = 1 << 12;
  constexpr int64_t kMaxMasks = 1 << 8;
  FieldReader reader(object);
  TrackerConfig tracker;
  for_each_field(tracker, [&](const char* name, auto& value) {
    // Graphs that older versions exported do not say how large masks to prompt with are, nor how
    // wide the tracker is.
    const std::string_view field = name;
    const bool later = field == "mask_prompt_size" || field == "width";
    if (later && !object.contains(name)) return;
    reader.read_tracker(name, value);
  });
  // Sizes of tensors.
  reader.read("vision_width", 1, kMaxWidth, tracker.vision_width);
  if (object.contains("width")) {
    reader.read("width", 1, kMaxWidth, tracker.width);
  } else {
    tracker.width = config.detector_width;
  }
  reader.read("memory_channels", 0, kMaxChannels, tracker.memory_channels);
  reader.read("num_maskmem", 0, kMaxRows, tracker.num_maskmem);
  reader.read("mask_tokens", 2, kMaxMasks, tracker.mask_tokens);
  if (tracker.mask_prompt_size != 0) {
    constexpr int64_t kMaxMaskSide = 1 << 15;
    reader.read("mask_prompt_size", 4, kMaxMaskSide, tracker.mask_prompt_size);
  }
  config.tracker = tracker;
  return reader.problems();
}

}  // namespace

ModelConfig parse_model_config(std::string_view json, const std::string& where) {
  if (json.size() > kMaxConfigBytes) {
    throw_bad_input(where + ": larger than " + std::to_string(kMaxConfigBytes) +
                    " bytes; export the graph again");
  }
  const auto object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) {
    throw_bad_input(where + ": expected a JSON object; export the graph again");
  }
  // Limits far above any published model, low enough that products of sizes cannot overflow.
  constexpr int64_t kMaxSide = 1 << 14;
  constexpr int64_t kMaxWidth = 1 << 16;
  constexpr int64_t kMaxTokens = 1 << 12;
  constexpr int64_t kMaxRegion = 64;
  constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();
  ModelConfig config;
  FieldReader reader(object);
  reader.read("image_size", 1, kMaxSide, config.image_size);
  reader.read("patch_size", 1, kMaxSide, config.patch_size);
  reader.read("grid", 1, kMaxSide, config.grid);
  reader.read("detector_width", 1, kMaxWidth, config.detector_width);
  reader.read("context_length", 2, kMaxTokens, config.context_length);
  reader.read("num_queries", 1, kMaxTokens, config.num_queries);
  reader.read("roi_size", 1, kMaxRegion, config.roi_size);
  reader.read_channels("image_mean", false, config.image_mean);
  reader.read_channels("image_std", true, config.image_std);
  reader.read_factor("rescale_factor", config.rescale_factor);
  reader.read("bos_token_id", 0, kMaxId, config.bos_token_id);
  reader.read("eos_token_id", 0, kMaxId, config.eos_token_id);
  reader.read("pad_token_id", 0, kMaxId, config.pad_token_id);
  if (reader.problems().empty() && config.grid * config.patch_size != config.image_size) {
    reader.problem("grid", std::to_string(config.image_size) + " / " +
                               std::to_string(config.patch_size) + " (image_size / patch_size)");
  }
  std::string problems = reader.problems();
  if (const auto tracker = object.find("tracker"); tracker != object.end()) {
    problems += read_tracker(*tracker, config);
  }
  if (!problems.empty()) {
    throw_bad_input(where + " is not valid; export the graph again:" + problems);
  }
  return config;
}

}  // namespace sam3trt
