#include "compile/recipe_memory.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "compile/build_settings.hpp"
#include "compile/json_memory.hpp"
#include "onnx/graph_info.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 1;
constexpr size_t kLargestFile = size_t{1} << 16;

}  // namespace

fs::path recipe_memory_path(const TensorRtApi& api, const EngineBuildRequest& request,
                            const std::vector<Profile>& profiles) {
  if (request.cache.empty()) return {};
  const std::string key =
      hash_graph_shapes(request.onnx) + "\n" + build_settings_of(api, request, profiles);
  return request.cache / (sha256_hex(std::as_bytes(std::span(key))) + ".recipes.json");
}

std::optional<RecipeOutcome> recall_recipes(const fs::path& file) {
  return recall(file, kLargestFile, [](const MemoryJson& json) -> std::optional<RecipeOutcome> {
    if (json.at("version").get<int>() != kVersion) return std::nullopt;
    return RecipeOutcome{json.at("passed").get<std::string>(),
                         json.at("refused").get<std::vector<std::string>>()};
  });
}

void remember_recipes(const fs::path& file, const RecipeOutcome& outcome) {
  remember_json(file,
                {{"version", kVersion}, {"passed", outcome.passed}, {"refused", outcome.refused}},
                "which recipe passed");
}

std::vector<Recipe> order_recipes(const std::vector<Recipe>& recipes,
                                  const std::optional<RecipeOutcome>& outcome) {
  std::vector<Recipe> order = recipes;
  if (!outcome) return order;
  const auto passed = std::ranges::find(order, outcome->passed, &Recipe::sha256);
  const bool refused = std::any_of(order.begin(), passed, [&](const Recipe& recipe) {
    return std::ranges::find(outcome->refused, recipe.sha256()) != outcome->refused.end();
  });
  if (passed != order.end() && refused) {
    std::rotate(order.begin(), passed, order.end());
  }
  return order;
}

}  // namespace sam3trt
