#include "server/fields.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/strict_json.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBoxes = 10'000;

PixelBox read_box(const Fields& fields, const Json& json, const std::string& name) {
  const auto is_number = [](const Json& value) {
    return value.is_number() && std::isfinite(value.get<double>());
  };
  if (!json.is_array() || json.size() != 4 || !std::ranges::all_of(json, is_number)) {
    fields.refuse(name, "[x0, y0, x1, y1] in pixels");
  }
  PixelBox box;
  for (size_t i = 0; i < box.size(); ++i) box.at(i) = json[i].get<double>();
  if (box[0] >= box[2] || box[1] >= box[3]) {
    fields.refuse(name, "[x0, y0, x1, y1] with x0 < x1 and y0 < y1");
  }
  return box;
}

Prompt read_prompt(const Json& json, const std::string& where) {
  const Fields fields(json, where, {"text", "boxes", "box_labels"});
  Prompt prompt;
  prompt.text = fields.text("text");
  const Json* boxes = fields.list("boxes", kMaxBoxes);
  const Json* labels = fields.list("box_labels", kMaxBoxes);
  const size_t count = boxes == nullptr ? 0 : boxes->size();
  if (labels != nullptr && labels->size() != count) {
    fields.refuse("box_labels", std::to_string(count) + " labels, one for each box");
  }
  for (size_t i = 0; i < count; ++i) {
    const std::string index = "[" + std::to_string(i) + "]";
    PromptBox box{read_box(fields, (*boxes)[i], "boxes" + index), true};
    if (labels != nullptr) {
      const Json& label = (*labels)[i];
      if (!label.is_number_integer() || (label != 0 && label != 1)) {
        fields.refuse("box_labels" + index, "1 (an example of it) or 0 (of what it is not)");
      }
      box.positive = label == 1;
    }
    prompt.boxes.push_back(box);
  }
  if (!prompt.text && prompt.boxes.empty()) {
    throw HttpError(422, "bad_field", where + ": expected a text or boxes", where);
  }
  return prompt;
}

}  // namespace

Json parse_request_json(std::string_view text) {
  try {
    return parse_strict_json(std::as_bytes(std::span(text)), "the request");
  } catch (const Error& error) {
    throw HttpError(400, "bad_json", error.what());
  }
}

Fields::Fields(const Json& json, std::string where, std::initializer_list<const char*> known)
    : json_(json), where_(std::move(where)) {
  if (!json.is_object()) {
    throw HttpError(422, "bad_field",
                    (where_.empty() ? "the request" : where_) + ": expected a JSON object", where_);
  }
  for (const auto& field : json.items()) {
    const std::string& name = field.key();
    if (std::ranges::any_of(known, [&](const char* other) { return name == other; })) continue;
    std::string names;
    for (const char* other : known) names += (names.empty() ? "" : ", ") + std::string(other);
    const std::string path = path_of(printable(name));
    throw HttpError(422, "unknown_field", path + ": is not a field here; expected " + names, path);
  }
}

const Json* Fields::find(const char* name) const {
  const auto found = json_.find(name);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::path_of(const std::string& name) const {
  return where_.empty() ? name : where_ + "." + name;
}

void Fields::refuse(const std::string& name, const std::string& expected) const {
  const std::string path = path_of(name);
  throw HttpError(422, "bad_field", path + ": expected " + expected, path);
}

std::optional<std::string> Fields::text(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) refuse(name, "a text");
  return value->get<std::string>();
}

std::optional<bool> Fields::flag(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

std::optional<double> Fields::number(const char* name, double least, double most) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most)) {
    refuse(name, "a number from " + Json(least).dump() + " to " + Json(most).dump());
  }
  return value->get<double>();
}

std::optional<int64_t> Fields::integer(const char* name, int64_t least, int64_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      !(value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(most)) &&
      value->get<int64_t>() >= least && value->get<int64_t>() <= most;
  if (!fits) {
    refuse(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return value->get<int64_t>();
}

const Json* Fields::list(const char* name, size_t most) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_array()) refuse(name, "a list");
  if (value != nullptr && value->size() > most) {
    refuse(name, "at most " + std::to_string(most) + " entries");
  }
  return value;
}

std::vector<Prompt> read_prompts(const Json& list, size_t most) {
  if (!list.is_array() || list.empty() || list.size() > most) {
    throw HttpError(422, "bad_field",
                    "prompts: expected a list of 1 to " + std::to_string(most) + " prompts",
                    "prompts");
  }
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < list.size(); ++i) {
    prompts.push_back(read_prompt(list[i], "prompts[" + std::to_string(i) + "]"));
  }
  return prompts;
}

}  // namespace sam3trt
