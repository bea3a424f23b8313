#include "precision/recipe.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "precision/builtin_recipes.hpp"
#include "precision/recipe_reader.hpp"

namespace sam3trt {
namespace {

nlohmann::ordered_json to_json(const Recipe& recipe) {
  nlohmann::ordered_json json = {{"name", recipe.name}, {"precision", name_of(recipe.precision)}};
  json["low"] = name_of(recipe.low);
  for (const auto& [component, rules] : recipe.rules) {
    for (const TypeRule& rule : rules) {
      const std::string_view type = rule.type ? name_of(*rule.type) : "inherit";
      json["rules"][component].push_back({rule.nodes, rule.op, type});
    }
  }
  for (const auto& [tensor, type] : recipe.io) json["io"][tensor] = name_of(type);
  for (const auto& [component, patterns] : recipe.fp8) json["fp8"][component] = patterns;
  for (const auto& [component, patterns] : recipe.fused) json["fused"][component] = patterns;
  for (const auto& [component, patterns] : recipe.products) json["products"][component] = patterns;
  if (!recipe.tf32.empty()) json["tf32"] = recipe.tf32;
  return json;
}

}  // namespace

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kFp16:
      return "fp16";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp8:
      return "fp8";
  }
  throw Error(ErrorCode::kInternal, "unknown precision");
}

std::string Recipe::sha256() const {
  const std::string text = to_json(*this).dump();
  return sha256_hex(std::as_bytes(std::span(text)));
}

Recipe Recipe::with_f32_nodes(const std::vector<std::string>& patterns) const {
  Recipe result = *this;
  for (auto& [component, component_rules] : result.rules) {
    std::vector<TypeRule> first;
    first.reserve(patterns.size());
    for (const std::string& pattern : patterns) first.push_back({pattern, "", DType::kF32});
    component_rules.insert(component_rules.begin(), first.begin(), first.end());
  }
  return result;
}

Recipe Recipe::with_standard_operators() const {
  Recipe result = *this;
  result.fused.clear();
  result.products.clear();
  return result;
}

RecipeBook RecipeBook::builtin() { return parse(builtin_recipes(), "built-in recipes"); }

RecipeBook RecipeBook::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

RecipeBook RecipeBook::parse(std::string_view text, const std::string& where) {
  RecipeBook book;
  for (Recipe& recipe : read_recipes(text, where)) {
    book.variants_[recipe.precision].push_back(std::move(recipe));
  }
  return book;
}

const std::vector<Recipe>& RecipeBook::variants(Precision precision) const {
  return variants_.at(precision);
}

const Recipe& RecipeBook::find(std::string_view name) const {
  std::string known;
  for (const auto& [precision, recipes] : variants_) {
    for (const Recipe& recipe : recipes) {
      if (recipe.name == name) return recipe;
      known += (known.empty() ? "" : ", ") + recipe.name;
    }
  }
  throw_bad_input("there is no precision recipe named '" + std::string(name) + "'; known are " +
                  known);
}

bool matches_path(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] != '*') {
    return !path.empty() && path[0] == pattern[0] &&
           matches_path(pattern.substr(1), path.substr(1));
  }
  const bool any = pattern.starts_with("**");
  const std::string_view rest = pattern.substr(any ? 2 : 1);
  for (size_t taken = 0; taken <= path.size(); ++taken) {
    if (matches_path(rest, path.substr(taken))) return true;
    if (!any && taken < path.size() && path[taken] == '/') return false;
  }
  return false;
}

}  // namespace sam3trt
