#pragma once

#include <cstddef>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace sam3trt {

/// What a build keeps for later ones in a small file of its own. It saves time and decides nothing,
/// so that a file that is missing, damaged or cannot be written is no error.
using MemoryJson = nlohmann::ordered_json;

/// Nothing where there is no file, or none of JSON of at most `most` bytes.
[[nodiscard]] std::optional<MemoryJson> recall_json(const std::filesystem::path& file, size_t most);

/// What `read` makes of it, an optional; nothing where it throws, for the file is of another form.
template <typename Read>
auto recall(const std::filesystem::path& file, size_t most, const Read& read)
    -> decltype(read(MemoryJson())) {
  const auto json = recall_json(file, most);
  if (!json) return std::nullopt;
  try {
    return read(*json);
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// Writes the file, and makes its folder; nothing where the path is empty. Where that fails a
/// warning says that `what` was not kept.
void remember_json(const std::filesystem::path& file, const MemoryJson& json,
                   const std::string& what);

}  // namespace sam3trt
