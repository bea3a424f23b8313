#include "precision/recipe_reader.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "components/components.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using Aliases = std::map<std::string, std::string>;

constexpr std::array kPrecisions = {Precision::kFp32, Precision::kFp16, Precision::kBf16,
                                    Precision::kFp8};
// A pattern is matched by trying; each star multiplies the tries.
constexpr size_t kLongestPattern = 200;
constexpr std::ptrdiff_t kMostStars = 8;

class Reader {
 public:
  std::vector<Recipe> read(std::string_view text, const std::string& where) {
    Json book = Json::parse(text, nullptr, false);
    if (!book.is_object()) throw_bad_input(where + ": not a JSON object");
    if (book.contains("extends")) book = extended(book);
    check_keys(book, "", {"format", "types", "io", "rules", "precisions"});
    if (book.value("format", Json()) != Json(1)) problem("/format: expected 1");
    for (const Precision precision : kPrecisions) {
      const std::string name(name_of(precision));
      const Json& entry = member(member(book, "precisions", ""), name, "/precisions");
      read_precision(book, entry, precision, "/precisions/" + name);
    }
    if (!problems_.empty()) {
      throw_bad_input(where + ": wrong precision recipes (docs/precision.md):" + problems_);
    }
    return std::move(recipes_);
  }

 private:
  /// The built-in book with the variants of this one before its own.
  Json extended(const Json& book) {
    check_keys(book, "", {"format", "extends", "variants"});
    if (book["extends"] != Json("built-in")) problem("/extends: expected \"built-in\"");
    Json result = Json::parse(builtin_recipes());
    result["format"] = book.value("format", Json());
    for (const auto& item : member(book, "variants", "").items()) {
      Json& precisions = result["precisions"];
      if (!precisions.contains(item.key()) || !item.value().is_array()) {
        problem("/variants/" + item.key() + ": expected a list of a known precision");
        continue;
      }
      Json variants = item.value();
      for (const Json& own : precisions[item.key()]["variants"]) variants.push_back(own);
      precisions[item.key()]["variants"] = std::move(variants);
    }
    return result;
  }

  void problem(const std::string& text) { problems_ += "\n  " + text; }

  void check_keys(const Json& object, const std::string& where,
                  std::initializer_list<std::string_view> known) {
    for (const auto& item : object.items()) {
      bool found = false;
      for (const std::string_view key : known) found = found || key == item.key();
      if (!found) problem(where + "/" + item.key() + ": unknown key");
    }
  }

  /// The object under `key`, empty when it is missing or none.
  const Json& member(const Json& parent, const std::string& key, const std::string& where,
                     bool required = true) {
    static const Json kEmpty = Json::object();
    if (!parent.is_object() || !parent.contains(key)) {
      if (required) problem(where + "/" + key + ": missing");
      return kEmpty;
    }
    const Json& found = parent.at(key);
    if (found.is_object()) return found;
    problem(where + "/" + key + ": expected an object");
    return kEmpty;
  }

  std::string text(const Json& value, const std::string& where) {
    if (value.is_string()) return value.get<std::string>();
    problem(where + ": expected a text");
    return {};
  }

  void merge_aliases(Aliases& aliases, const Json& types, const std::string& where) {
    for (const auto& item : types.items()) {
      aliases[item.key()] = text(item.value(), where + "/types/" + item.key());
    }
  }

  /// "f32", "f16", "bf16", "low" or a name under "types"; "inherit" gives none.
  std::optional<DType> type(const std::string& name, const Aliases& aliases,
                            const std::string& where) {
    const auto alias = aliases.find(name);
    const std::string plain = alias == aliases.end() ? name : alias->second;
    if (plain == "inherit") return std::nullopt;
    if (plain == "low") return low_;
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
      if (plain == name_of(dtype)) return dtype;
    }
    problem(where + ": unknown type '" + plain + "'");
    return DType::kF32;
  }

  std::string pattern(const Json& value, const std::string& where) {
    std::string result = text(value, where);
    if (result.size() > kLongestPattern ||
        std::count(result.begin(), result.end(), '*') > kMostStars) {
      problem(where + ": a pattern of more than " + std::to_string(kLongestPattern) +
              " characters or " + std::to_string(kMostStars) + " stars");
      result.clear();
    }
    return result;
  }

  /// {COMPONENT: [PATTERN, ...]} under `key`.
  std::map<std::string, std::vector<std::string>> patterns(const Json& variant,
                                                           const std::string& key,
                                                           const std::string& where) {
    std::map<std::string, std::vector<std::string>> result;
    const std::string at = where + "/" + key;
    for (const auto& item : member(variant, key, where, false).items()) {
      check_component(item.key(), at);
      for (const Json& nodes : item.value()) {
        result[item.key()].push_back(pattern(nodes, at + "/" + item.key()));
      }
    }
    return result;
  }

  std::set<std::string> texts(const Json& variant, const std::string& key,
                              const std::string& where) {
    std::set<std::string> result;
    const Json list = variant.value(key, Json::array());
    if (!list.is_array()) problem(where + "/" + key + ": expected a list");
    for (const Json& item : list) result.insert(text(item, where + "/" + key));
    return result;
  }

  std::set<std::string> components(const Json& variant, const std::string& key,
                                   const std::string& where) {
    std::set<std::string> result = texts(variant, key, where);
    for (const std::string& component : result) check_component(component, where + "/" + key);
    return result;
  }

  std::set<std::string> compute_capabilities(const Json& variant, const std::string& key,
                                             const std::string& where) {
    std::set<std::string> result = texts(variant, key, where);
    for (const std::string& capability : result) {
      const size_t dot = capability.find('.');
      const bool numbers = capability.find_first_not_of("0123456789.") == std::string::npos;
      if (numbers && dot != std::string::npos && dot > 0 && dot + 2 == capability.size()) continue;
      problem(where + "/" + key + ": expected compute capabilities such as \"9.0\", found \"" +
              capability + "\"");
    }
    return result;
  }

  void check_component(const std::string& component, const std::string& where) {
    if (component_named(component)) return;
    problem(where + "/" + component + ": unknown component; expected one of " + component_names());
  }

  void append_rules(Recipe& recipe, const Json& rules, const Aliases& aliases,
                    const std::string& where) {
    for (const auto& item : rules.items()) {
      check_component(item.key(), where);
      size_t index = 0;
      for (const Json& rule : item.value()) {
        const std::string at = where + "/" + item.key() + "/" + std::to_string(index++);
        if (!rule.is_object() || !rule.contains("type") ||
            !(rule.contains("nodes") || rule.contains("op"))) {
          problem(at + ": expected an object with \"type\" and \"nodes\" or \"op\"");
          continue;
        }
        check_keys(rule, at, {"nodes", "op", "type"});
        recipe.rules[item.key()].push_back(
            {rule.contains("nodes") ? pattern(rule["nodes"], at + "/nodes") : "",
             rule.contains("op") ? text(rule["op"], at + "/op") : "",
             type(text(rule["type"], at + "/type"), aliases, at + "/type")});
      }
    }
  }

  void read_precision(const Json& book, const Json& entry, Precision precision,
                      const std::string& where) {
    check_keys(entry, where, {"low", "types", "variants"});
    const std::string low = text(entry.value("low", Json("")), where + "/low");
    low_ = DType::kF32;
    low_ = type(low, {}, where + "/low").value_or(DType::kF32);
    Aliases aliases;
    merge_aliases(aliases, member(book, "types", ""), "");
    const Aliases known = aliases;
    merge_aliases(aliases, member(entry, "types", where, false), where);
    const Json variants = entry.value("variants", Json());
    if (!variants.is_array() || variants.empty()) {
      problem(where + "/variants: expected a list of at least one");
      return;
    }
    for (const Json& variant : variants) {
      if (!variant.is_object() || !variant.contains("name")) {
        problem(where + "/variants: expected objects with a \"name\"");
        continue;
      }
      Aliases own = aliases;
      read_variant(book, variant, precision, own, where + "/variants");
      for (const auto& [name, target] : own) {
        if (!known.contains(name)) problem(where + ": '" + name + "' is not under /types");
      }
    }
  }

  void read_variant(const Json& book, const Json& variant, Precision precision, Aliases& aliases,
                    const std::string& parent) {
    Recipe recipe;
    recipe.precision = precision;
    recipe.low = low_;
    recipe.name = text(variant["name"], parent + "/name");
    const std::string where = parent + "/" + recipe.name;
    if (!names_.insert(recipe.name).second) problem(where + ": the name is used twice");
    check_keys(variant, where,
               {"name", "types", "rules", "fp8", "fused", "products", "faster_on", "tf32"});
    merge_aliases(aliases, member(variant, "types", where, false), where);
    append_rules(recipe, member(variant, "rules", where, false), aliases, where + "/rules");
    append_rules(recipe, member(book, "rules", ""), aliases, "/rules");
    for (const auto& item : member(book, "io", "").items()) {
      const auto io = type(text(item.value(), "/io/" + item.key()), aliases, "/io/" + item.key());
      if (io.value_or(DType::kF32) != DType::kF32) recipe.io[item.key()] = *io;
    }
    recipe.fp8 = patterns(variant, "fp8", where);
    recipe.fused = patterns(variant, "fused", where);
    recipe.products = patterns(variant, "products", where);
    recipe.faster_on = compute_capabilities(variant, "faster_on", where);
    recipe.tf32 = components(variant, "tf32", where);
    if ((precision == Precision::kFp8) == recipe.fp8.empty()) {
      problem(where + "/fp8: needed by the recipes of fp8, and only by them");
    }
    recipes_.push_back(std::move(recipe));
  }

  std::string problems_;
  std::vector<Recipe> recipes_;
  std::set<std::string> names_;
  DType low_ = DType::kF32;
};

}  // namespace

std::vector<Recipe> read_recipes(std::string_view text, const std::string& where) {
  return Reader().read(text, where);
}

}  // namespace sam3trt
