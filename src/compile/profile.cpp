#include "compile/profile.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "components/components.hpp"

namespace sam3trt {
namespace {

/// Prompts in one call of the mask head; each needs megabytes of upsampled features, and a few fill
/// a GPU.
constexpr int64_t kMaskPrompts = 4;

/// Objects that memory attention is tuned for: each reads thousands of keys per frame.
constexpr int64_t kMemoryObjects = 4;

/// A click with the padding that follows it.
constexpr int64_t kTunedPoints = 2;

struct Sizes {
  int64_t min = 1;
  int64_t opt = 1;
  int64_t max = 1;
};

/// What the graph says about its model, as far as profiles need it.
struct ModelNumbers {
  int64_t queries = 1;
  int64_t frames = 1;        ///< F: conditioning frames and those before the current one.
  int64_t tuned_frames = 1;  ///< As many as there are without another click.
  int64_t pointers = 0;      ///< W, likewise.
};

/// A whole number of the configuration; `fallback` where it is not there.
int64_t read_number(const nlohmann::json& object, const char* key, int64_t fallback) {
  constexpr int64_t kMost = 1 << 20;
  const auto value = object.value(key, nlohmann::json(fallback));
  if (value.is_number_integer() && value >= fallback && value <= kMost) {
    return value.get<int64_t>();
  }
  throw_bad_input(std::string("the graph's sam3trt.config: expected a ") + key + " of " +
                  std::to_string(fallback) + " to " + std::to_string(kMost) + ", found " +
                  value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                  "; export the graph again");
}

ModelNumbers read_numbers(const GraphInfo& graph) {
  const auto config = graph.metadata.find("sam3trt.config");
  if (config == graph.metadata.end()) return {};
  const auto json = nlohmann::json::parse(config->second, nullptr, false);
  if (!json.is_object()) {
    throw_bad_input(
        "the graph's sam3trt.config: expected an object with num_queries; export the graph again");
  }
  ModelNumbers numbers;
  numbers.queries = read_number(json, "num_queries", 1);
  const auto tracker = json.find("tracker");
  if (tracker == json.end() || !tracker->is_object()) return numbers;
  numbers.tuned_frames = std::max<int64_t>(read_number(*tracker, "num_maskmem", 0), 1);
  numbers.frames =
      numbers.tuned_frames - 1 + std::max<int64_t>(read_number(*tracker, "max_cond_frames", 0), 1);
  numbers.pointers = read_number(*tracker, "max_object_pointers", 0);
  return numbers;
}

using SymbolSizes = std::map<std::string, Sizes, std::less<>>;

/// What an engine is tuned for: `tuned` of at most `largest`.
int64_t tuned_of(int64_t tuned, int64_t largest) {
  return tuned == 0 ? largest : std::min(tuned, largest);
}

SymbolSizes symbol_sizes(const GraphInfo& graph, std::optional<Component> component,
                         const EngineLimits& limits) {
  const ModelNumbers model = read_numbers(graph);
  const int64_t masks = limits.masks > 0 ? std::min(limits.masks, model.queries) : model.queries;
  const int64_t rows = mask_prompts(limits);
  const int64_t images = tuned_of(limits.tuned_images, limits.images);
  const bool attends = component == Component::kMemoryAttention;
  const int64_t objects =
      std::min(tuned_of(limits.tuned_objects, limits.objects),
               attends && limits.tuned_objects == 0 ? kMemoryObjects : limits.objects);
  return {{"B", {1, images, limits.images}},
          {"P", {1, tuned_of(limits.tuned_prompts, limits.prompts), limits.prompts}},
          {"K", {1, 1, limits.boxes}},
          {"R", {1, tuned_of(limits.tuned_prompts, rows), rows}},
          {"M", {1, std::min<int64_t>(16, masks), masks}},
          {"O", {1, objects, limits.objects}},
          {"E", {1, std::max(objects, images), std::max(limits.objects, limits.images)}},
          {"A", {1, std::min(kTunedPoints, limits.points), limits.points}},
          {"F", {1, std::min(model.tuned_frames, model.frames), model.frames}},
          {"W", {0, std::min(model.pointers, limits.pointers), limits.pointers}}};
}

/// Where nothing else is asked for.
EngineLimits tuned_for_one(EngineLimits limits) {
  if (limits.tuned_images == 0) limits.tuned_images = 1;
  if (limits.tuned_prompts == 0) limits.tuned_prompts = 1;
  return limits;
}

/// The same for one image and one prompt or object.
SymbolSizes alone(SymbolSizes sizes) {
  for (const char* symbol : {"B", "P", "R", "O", "E"}) sizes[symbol] = {1, 1, 1};
  return sizes;
}

/// "P", "K + 33", "9*B" with the sizes of the symbol.
Sizes evaluate(std::string_view text, const SymbolSizes& sizes, const std::string& input) {
  const auto fail = [&]() -> Sizes {
    throw_bad_input("the input " + input + " has a dimension '" + std::string(text) +
                    "', which is none of docs/graphs.md; export the graph again");
  };
  const auto number = [&](std::string_view digits) {
    int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ec != std::errc() || result.ptr != digits.data() + digits.size()) fail();
    return value;
  };
  std::string_view symbol = text;
  int64_t factor = 1;
  int64_t offset = 0;
  if (const size_t star = symbol.find('*'); star != std::string_view::npos) {
    factor = number(symbol.substr(0, star));
    symbol.remove_prefix(star + 1);
  }
  if (const size_t plus = symbol.find(" + "); plus != std::string_view::npos) {
    offset = number(symbol.substr(plus + 3));
    symbol = symbol.substr(0, plus);
  }
  const auto found = sizes.find(symbol);
  if (found == sizes.end()) return fail();
  return {factor * found->second.min + offset, factor * found->second.opt + offset,
          factor * found->second.max + offset};
}

Profile make_profile(const GraphInfo& graph, const SymbolSizes& sizes) {
  Profile profile;
  for (const TensorInfo& input : graph.inputs) {
    const auto& names = graph.dim_names.at(input.name);
    ProfileShape shape;
    for (size_t i = 0; i < input.shape.size(); ++i) {
      const int64_t fixed = input.shape[i];
      const Sizes dim =
          fixed >= 0 ? Sizes{fixed, fixed, fixed} : evaluate(names.at(i), sizes, input.name);
      shape.min.push_back(dim.min);
      shape.opt.push_back(dim.opt);
      shape.max.push_back(dim.max);
    }
    profile[input.name] = std::move(shape);
  }
  return profile;
}

Profile make_foreign_profile(const GraphInfo& graph, const Sizes& images) {
  Profile profile;
  for (const TensorInfo& input : graph.inputs) {
    ProfileShape shape{input.shape, input.shape, input.shape};
    for (size_t axis = 0; axis < input.shape.size(); ++axis) {
      if (input.shape[axis] >= 0) continue;
      if (axis > 0) {
        throw_bad_input("the input " + input.name + " has the shape " + to_string(input.shape) +
                        "; of a graph that 'sam3trt export' did not write, only the first axis "
                        "may be dynamic");
      }
      shape.min[0] = images.min;
      shape.opt[0] = images.opt;
      shape.max[0] = images.max;
    }
    profile[input.name] = std::move(shape);
  }
  return profile;
}

/// Both, or only the second where the inputs count nothing that may be more than one.
std::vector<Profile> one_and_several(Profile one, Profile several) {
  const bool differ = std::ranges::any_of(
      several, [&](const auto& entry) { return one.at(entry.first).max != entry.second.max; });
  if (!differ) return {std::move(several)};
  return {std::move(one), std::move(several)};
}

}  // namespace

int64_t mask_prompts(const EngineLimits& limits) { return std::min(limits.prompts, kMaskPrompts); }

std::vector<Profile> make_profiles(const GraphInfo& graph, const EngineLimits& limits) {
  const auto metadata = graph.metadata.find("sam3trt.component");
  const std::string component = metadata == graph.metadata.end() ? "" : metadata->second;
  const auto known = component_named(component);
  const ProfileChoice choice = known ? info_of(*known).profiles : ProfileChoice::kSingleAndSeveral;
  const SymbolSizes sizes = symbol_sizes(
      graph, known, choice == ProfileChoice::kOneTunedForOne ? tuned_for_one(limits) : limits);
  Profile several = make_profile(graph, sizes);
  if (choice != ProfileChoice::kSingleAndSeveral) return {std::move(several)};
  return one_and_several(make_profile(graph, alone(sizes)), std::move(several));
}

std::vector<Profile> make_foreign_profiles(const GraphInfo& graph, const EngineLimits& limits) {
  const Sizes images{1, tuned_of(limits.tuned_images, limits.images), limits.images};
  return one_and_several(make_foreign_profile(graph, {}), make_foreign_profile(graph, images));
}

}  // namespace sam3trt
