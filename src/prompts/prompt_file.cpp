#include "prompts/prompt_file.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/strict_json.hpp"
#include "image/image.hpp"
#include "image/rle.hpp"
#include "prompts/mask_image.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr size_t kMaxEntries = 100'000;
constexpr size_t kMaxPoints = 10'000;
constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();

/// One JSON object of the file with the words that messages about it begin with.
class Entry {
 public:
  Entry(const Json& json, std::string where, std::initializer_list<const char*> known)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw_bad_input(where_ + ": expected a JSON object");
    for (const auto& field : json.items()) {
      const std::string& name = field.key();
      if (std::ranges::any_of(known, [&](const char* other) { return name == other; })) continue;
      std::string names;
      for (const char* other : known) names += (names.empty() ? "" : ", ") + std::string(other);
      throw_bad_input(where_ + ": unknown field \"" + printable(name) + "\"; expected " + names);
    }
  }

  /// Null counts as missing.
  [[nodiscard]] const Json* find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  [[noreturn]] void refuse(const char* name, const std::string& expected) const {
    throw_bad_input(where_ + "." + name + ": expected " + expected);
  }

  [[nodiscard]] std::optional<int64_t> integer(const char* name, int64_t limit) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer() ||
        (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(limit)) ||
        value->get<int64_t>() < 0 || value->get<int64_t>() > limit) {
      refuse(name, "an integer from 0 to " + std::to_string(limit));
    }
    return value->get<int64_t>();
  }

  [[nodiscard]] std::optional<std::string> text(const char* name) const {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string() || value->get_ref<const std::string&>().empty()) {
      refuse(name, "a text");
    }
    return value->get<std::string>();
  }

  [[nodiscard]] const Json* list(const char* name, size_t limit) const {
    const Json* value = find(name);
    if (value != nullptr && !value->is_array()) refuse(name, "a list");
    if (value != nullptr && value->size() > limit) {
      refuse(name, "at most " + std::to_string(limit) + " entries");
    }
    return value;
  }

  /// One number for each of `count` entries: 1 or 0. Left out: all 1.
  [[nodiscard]] std::vector<bool> labels(const char* name, size_t count) const {
    const Json* values = list(name, kMaxPoints);
    if (values == nullptr) return std::vector<bool>(count, true);
    if (values->size() != count) {
      refuse(name, std::to_string(count) + " labels, one for each, found " +
                       std::to_string(values->size()));
    }
    std::vector<bool> labels;
    for (const Json& value : *values) {
      if (!value.is_number_integer() || (value != 0 && value != 1)) {
        refuse(name, "1 (belongs to it) or 0 (does not)");
      }
      labels.push_back(value == 1);
    }
    return labels;
  }

  /// `count` finite numbers of a value under `name`.
  [[nodiscard]] std::vector<double> numbers(const Json& value, const char* name, size_t count,
                                            const std::string& expected) const {
    std::vector<double> numbers;
    if (!value.is_array() || value.size() != count) refuse(name, expected);
    for (const Json& number : value) {
      if (!number.is_number() || !std::isfinite(number.get<double>())) refuse(name, expected);
      numbers.push_back(number.get<double>());
    }
    return numbers;
  }

  [[nodiscard]] PixelBox box(const Json& value, const char* name) const {
    const std::string expected = "[x0, y0, x1, y1] in pixels with x0 < x1 and y0 < y1";
    const auto corners = numbers(value, name, 4, expected);
    if (corners[0] >= corners[2] || corners[1] >= corners[3]) refuse(name, expected);
    return {corners[0], corners[1], corners[2], corners[3]};
  }

  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;
};

std::vector<uint32_t> counts_of(const Entry& entry) {
  const Json* counts = entry.find("counts");
  if (counts == nullptr) entry.refuse("counts", "COCO run lengths");
  if (counts->is_string()) {
    try {
      return rle_from_string(counts->get_ref<const std::string&>());
    } catch (const Error& error) {
      throw_bad_input(entry.where() + ".counts: " + error.what());
    }
  }
  if (!counts->is_array()) entry.refuse("counts", "COCO run lengths, as a text or a list");
  std::vector<uint32_t> runs;
  runs.reserve(counts->size());
  for (const Json& run : *counts) {
    if (!run.is_number_unsigned() || run.get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
      entry.refuse("counts", "run lengths that are numbers of pixels");
    }
    runs.push_back(run.get<uint32_t>());
  }
  return runs;
}

ObjectMask mask_of_runs(const Json& json, const std::string& where) {
  const Entry entry(json, where, {"size", "counts"});
  const Json* size = entry.list("size", 2);
  const auto is_side = [](const Json& side) {
    return side.is_number_unsigned() && side.get<uint64_t>() <= uint64_t{1} << 31;
  };
  if (size == nullptr || size->size() != 2 || !std::ranges::all_of(*size, is_side)) {
    entry.refuse("size", "[height, width]");
  }
  ObjectMask mask{(*size)[1].get<int64_t>(), (*size)[0].get<int64_t>(), {}};
  check_image_size(mask.width, mask.height, where + ".size");
  mask.counts = counts_of(entry);
  uint64_t pixels = 0;
  uint64_t inside = 0;
  for (size_t i = 0; i < mask.counts.size(); ++i) {
    pixels += mask.counts[i];
    if (i % 2 == 1) inside += mask.counts[i];
  }
  if (pixels != static_cast<uint64_t>(mask.width * mask.height)) {
    entry.refuse("counts", "runs of " + std::to_string(mask.width * mask.height) +
                               " pixels together (height times width), found " +
                               std::to_string(pixels));
  }
  if (inside == 0) throw_bad_input(where + ": is an empty mask, expected pixels inside");
  return mask;
}

ObjectMask read_mask(const Entry& entry, const std::optional<std::filesystem::path>& folder) {
  const Json& mask = *entry.find("mask");
  const std::string where = entry.where() + ".mask";
  if (mask.is_object()) return mask_of_runs(mask, where);
  if (!mask.is_string() || mask.get_ref<const std::string&>().empty() || !folder) {
    entry.refuse("mask", std::string(folder ? "the path of an image or " : "") +
                             "run lengths {\"size\": [height, width], \"counts\": ...}");
  }
  const auto& name = mask.get_ref<const std::string&>();
  if (name.find('\0') != std::string::npos) entry.refuse("mask", "a path without the byte 0");
  try {
    return read_mask_image(*folder / std::filesystem::path(name));
  } catch (const Error& error) {
    throw_bad_input(where + ": " + error.what());
  }
}

PlacedObject read_object(const Json& json, const std::string& where,
                         const std::optional<std::filesystem::path>& folder) {
  const Entry entry(json, where, {"id", "image", "frame", "points", "point_labels", "box", "mask"});
  PlacedObject object;
  object.prompt.id = entry.integer("id", kMaxId).value_or(1);
  object.image = entry.text("image");
  object.frame = entry.integer("frame", kMaxPromptFrame);
  const Json* points = entry.list("points", kMaxPoints);
  const size_t count = points == nullptr ? 0 : points->size();
  const std::vector<bool> labels = entry.labels("point_labels", count);
  for (size_t i = 0; i < count; ++i) {
    const auto point = entry.numbers((*points)[i], "points", 2, "entries [x, y] in pixels");
    object.prompt.points.push_back({point[0], point[1], labels[i]});
  }
  if (const Json* box = entry.find("box")) object.prompt.box = entry.box(*box, "box");
  if (entry.find("mask") != nullptr) object.prompt.mask = read_mask(entry, folder);
  if (object.prompt.points.empty() && !object.prompt.box && !object.prompt.mask) {
    throw_bad_input(where + ": points at nothing: expected points, a box or a mask");
  }
  return object;
}

PlacedConcept read_concept(const Json& json, const std::string& where) {
  const Entry entry(json, where, {"text", "boxes", "box_labels", "image", "frame"});
  PlacedConcept placed;
  placed.prompt.text = entry.text("text");
  placed.image = entry.text("image");
  placed.frame = entry.integer("frame", kMaxPromptFrame);
  const Json* boxes = entry.list("boxes", kMaxPoints);
  const size_t count = boxes == nullptr ? 0 : boxes->size();
  const std::vector<bool> labels = entry.labels("box_labels", count);
  for (size_t i = 0; i < count; ++i) {
    placed.prompt.boxes.push_back({entry.box((*boxes)[i], "boxes"), labels[i]});
  }
  if (!placed.prompt.text && placed.prompt.boxes.empty()) {
    throw_bad_input(where + ": asks for nothing: expected a text or boxes");
  }
  return placed;
}

void check_once(const std::vector<PlacedObject>& objects, const std::string& where) {
  std::set<std::tuple<int64_t, int64_t, std::string>> known;
  for (size_t i = 0; i < objects.size(); ++i) {
    const PlacedObject& object = objects[i];
    if (known.emplace(object.prompt.id, object.frame.value_or(0), object.image.value_or(""))
            .second) {
      continue;
    }
    throw_bad_input(where + ": objects[" + std::to_string(i) + "]: the id " +
                    std::to_string(object.prompt.id) +
                    " is there twice for one image and frame; give another id, or put both into "
                    "one entry");
  }
}

}  // namespace

PromptFile parse_prompt_file(std::span<const std::byte> text, const std::string& where,
                             const std::optional<std::filesystem::path>& folder) {
  const Json json = parse_strict_json(text, where);
  const Entry file(json, where, {"objects", "concepts"});
  PromptFile prompts;
  if (const Json* objects = file.list("objects", kMaxEntries)) {
    for (size_t i = 0; i < objects->size(); ++i) {
      prompts.objects.push_back(
          read_object((*objects)[i], where + ": objects[" + std::to_string(i) + "]", folder));
    }
  }
  if (const Json* concepts = file.list("concepts", kMaxEntries)) {
    for (size_t i = 0; i < concepts->size(); ++i) {
      prompts.concepts.push_back(
          read_concept((*concepts)[i], where + ": concepts[" + std::to_string(i) + "]"));
    }
  }
  if (prompts.objects.empty() && prompts.concepts.empty()) {
    throw_bad_input(where + ": asks for nothing: expected \"objects\" or \"concepts\"");
  }
  check_once(prompts.objects, where);
  return prompts;
}

PromptFile read_prompt_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  if (file.bytes().size() > kMaxFileBytes) {
    throw_bad_input(path.string() + ": is larger than 256 MiB, too large for prompts");
  }
  return parse_prompt_file(file.bytes(), path.string(), path.parent_path());
}

ObjectPoint parse_point(std::string_view text, const std::string& option, bool positive) {
  ObjectPoint point{0, 0, positive};
  const char* const end = text.data() + text.size();
  const auto x = std::from_chars(text.data(), end, point.x);
  const bool has_comma = x.ec == std::errc() && x.ptr != end && *x.ptr == ',';
  const auto y = has_comma ? std::from_chars(x.ptr + 1, end, point.y) : x;
  if (!has_comma || y.ec != std::errc() || y.ptr != end || !std::isfinite(point.x) ||
      !std::isfinite(point.y)) {
    throw_bad_input(option + " " + std::string(text) + ": expected two numbers x,y in pixels");
  }
  return point;
}

}  // namespace sam3trt
