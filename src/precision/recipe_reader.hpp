#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "precision/recipe.hpp"

namespace sam3trt {

/// The recipes of a book in its order, every precision at least once. The form of the file is
/// described in docs/precision.md. Throws Error(kBadInput) with everything that is wrong.
[[nodiscard]] std::vector<Recipe> read_recipes(std::string_view text, const std::string& where);

}  // namespace sam3trt
