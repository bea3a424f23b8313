#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace sam3trt {

/// Parses JSON from outside: UTF-8 only, no duplicate keys, nesting of at most 64. `where` starts
/// every message. Throws Error(kBadInput).
[[nodiscard]] nlohmann::json parse_strict_json(std::span<const std::byte> text,
                                               const std::string& where);

/// The same for a file of at most 64 MiB; what stands in place of the file (foreign_file.hpp) is
/// named.
[[nodiscard]] nlohmann::json read_json_file(const std::filesystem::path& path);

}  // namespace sam3trt
