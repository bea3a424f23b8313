#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sam3trt {

/// The body of a request as JSON. Throws HttpError 400 for what is not JSON.
[[nodiscard]] nlohmann::json json_body(std::string_view body);

/// Reads fields of one JSON object of a request; others are not looked at, null counts as missing.
/// Each function throws HttpError 422 with the field's path for a value of another type. The object
/// must outlive it.
class RequestFields {
 public:
  /// `path` is that of the object; empty for the body itself.
  RequestFields(const nlohmann::json& object, std::string path);

  [[nodiscard]] const nlohmann::json* find(const std::string& name) const;
  [[nodiscard]] const nlohmann::json* object(const std::string& name) const;
  [[nodiscard]] const nlohmann::json* list(const std::string& name) const;
  [[nodiscard]] std::optional<std::string> text(const std::string& name) const;
  /// Finite.
  [[nodiscard]] std::optional<double> number(const std::string& name) const;
  [[nodiscard]] std::optional<bool> boolean(const std::string& name) const;

  /// Those that must be there.
  [[nodiscard]] std::string needed_text(const std::string& name) const;
  [[nodiscard]] double needed_number(const std::string& name) const;

  /// "prompts[1].boxes" for "boxes".
  [[nodiscard]] std::string path(const std::string& name) const;

  [[noreturn]] void refuse(const std::string& name, const std::string& expected) const;

 private:
  const nlohmann::json& object_;
  std::string path_;
};

}  // namespace sam3trt
