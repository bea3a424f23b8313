#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// Parses the JSON of a request. Throws HttpError(400 "bad_json").
[[nodiscard]] nlohmann::json parse_request_json(std::string_view text);

/// One JSON object of a request. Every function throws HttpError(422 "bad_field") that names the
/// field. Null counts as missing.
class Fields {
 public:
  /// `where` is the object's own place, such as "prompts[0]"; empty for the whole request. Throws
  /// for what is not an object and for fields other than `known`. The JSON must outlive this.
  Fields(const nlohmann::json& json, std::string where, std::initializer_list<const char*> known);

  [[nodiscard]] const nlohmann::json* find(const char* name) const;
  [[nodiscard]] std::string path_of(const std::string& name) const;
  [[noreturn]] void refuse(const std::string& name, const std::string& expected) const;

  [[nodiscard]] std::optional<std::string> text(const char* name) const;
  [[nodiscard]] std::optional<bool> flag(const char* name) const;
  [[nodiscard]] std::optional<double> number(const char* name, double least, double most) const;
  [[nodiscard]] std::optional<int64_t> integer(const char* name, int64_t least, int64_t most) const;
  /// Null where it is missing.
  [[nodiscard]] const nlohmann::json* list(const char* name, size_t most) const;

 private:
  const nlohmann::json& json_;
  std::string where_;
};

/// A list of prompts, [{"text", "boxes", "box_labels"}]. Throws as Fields does.
[[nodiscard]] std::vector<Prompt> read_prompts(const nlohmann::json& list, size_t most);

}  // namespace sam3trt
