#include "checkpoint/pad_token.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/strict_json.hpp"
#include "checkpoint/tensor_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// A token stands there as a string or as an object with its "content".
std::optional<std::string> token_text(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() ? token_text(*found, "content") : std::nullopt;
}

/// "added_tokens_decoder": {"49407": {"content": "<|endoftext|>"}}
std::optional<int64_t> from_decoder(const nlohmann::json& config, const std::string& token) {
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || !decoder->is_object()) return std::nullopt;
  for (const auto& [key, value] : decoder->items()) {
    int64_t id = 0;
    const auto result = std::from_chars(key.data(), key.data() + key.size(), id);
    const bool whole = result.ec == std::errc() && result.ptr == key.data() + key.size();
    if (whole && token_text(value, "content") == token) return id;
  }
  return std::nullopt;
}

/// "added_tokens": [{"id": 49407, "content": "<|endoftext|>"}] of tokenizer.json.
std::optional<int64_t> from_tokenizer(const fs::path& path, const std::string& token) {
  if (!file_exists(path)) return std::nullopt;
  const auto json = read_json_file(path);
  const auto added = json.is_object() ? json.find("added_tokens") : json.end();
  if (added == json.end() || !added->is_array()) return std::nullopt;
  for (const auto& entry : *added) {
    if (token_text(entry, "content") != token) continue;
    const auto id = entry.find("id");
    if (id != entry.end() && id->is_number_integer()) return id->get<int64_t>();
  }
  return std::nullopt;
}

}  // namespace

std::optional<int64_t> find_pad_token(const fs::path& folder) {
  const fs::path path = folder / "tokenizer_config.json";
  if (!file_exists(path)) return std::nullopt;
  const auto config = read_json_file(path);
  if (!config.is_object()) throw_bad_input(path.string() + ": is not a JSON object");
  const auto pad = token_text(config, "pad_token");
  if (!pad || pad == token_text(config, "eos_token")) return std::nullopt;
  auto id = from_decoder(config, *pad);
  if (!id) id = from_tokenizer(folder / "tokenizer.json", *pad);
  if (!id) {
    throw_bad_input(path.string() + ": pad_token \"" + printable(*pad) +
                    "\" has no id in added_tokens_decoder or in tokenizer.json");
  }
  return id;
}

}  // namespace sam3trt
