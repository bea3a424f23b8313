#pragma once

#include <span>
#include <string>
#include <string_view>

namespace sam3trt {

/// The name that `word` was probably meant to be: the one with the fewest single-character
/// insertions, deletions and replacements (Levenshtein), unless more than a third of the word (and
/// more than two characters) would have to change. Empty when none is near.
[[nodiscard]] std::string nearest_name(std::string_view word, std::span<const std::string> names);

/// " (did you mean 'NAME'?)" for the nearest name, or "".
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string> names);

}  // namespace sam3trt
