#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compile/engine_build.hpp"

namespace sam3trt {

/// What came of the recipes of a graph the last time that it was built: their hashes. It saves time
/// and decides nothing: every engine is verified.
struct RecipeOutcome {
  std::string passed;
  std::vector<std::string> refused;
};

/// The file, beside the timing caches, for graphs like that of the request: of the same nodes and
/// shapes, whatever the weights, with the same recipes, library, GPU, kernels, profiles and
/// settings. Empty where request.cache is.
[[nodiscard]] std::filesystem::path recipe_memory_path(const TensorRtApi& api,
                                                       const EngineBuildRequest& request,
                                                       const std::vector<Profile>& profiles);

/// Nothing when the file is missing, too large, damaged, or of another version.
[[nodiscard]] std::optional<RecipeOutcome> recall_recipes(const std::filesystem::path& file);

/// A file that cannot be written is warned of.
void remember_recipes(const std::filesystem::path& file, const RecipeOutcome& outcome);

/// The recipes in the order to try them in: from the one that passed on, then those before it,
/// where one of these was refused; as they are without such an outcome.
[[nodiscard]] std::vector<Recipe> order_recipes(const std::vector<Recipe>& recipes,
                                                const std::optional<RecipeOutcome>& outcome);

}  // namespace sam3trt
