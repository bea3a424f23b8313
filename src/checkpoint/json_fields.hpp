#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// Reads fields of one JSON object and collects what is wrong with them, each problem with the
/// field's full path, instead of stopping at the first. A field that is null counts as missing.
class JsonFields {
 public:
  /// `object` may be null for an object that is not there; `path` is its path, or empty at the top.
  JsonFields(const nlohmann::json* object, std::string path, std::vector<std::string>& problems);

  [[nodiscard]] bool present() const { return object_ != nullptr; }
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }

  [[nodiscard]] bool is_text(std::string_view key) const;
  [[nodiscard]] bool is_number(std::string_view key) const;
  [[nodiscard]] bool is_object(std::string_view key) const;

  /// The keys of the object, those of null fields too.
  [[nodiscard]] std::vector<std::string> keys() const;

  /// The object under `key`, empty when it is not there.
  [[nodiscard]] JsonFields child(std::string_view key) const;

  [[nodiscard]] int64_t integer(std::string_view key, int64_t fallback) const;
  [[nodiscard]] double number(std::string_view key, double fallback) const;
  [[nodiscard]] bool boolean(std::string_view key, bool fallback) const;
  [[nodiscard]] std::string text(std::string_view key, std::string fallback) const;

  /// An integer, or a list of two equal ones (height and width of a square).
  [[nodiscard]] int64_t side(std::string_view key, int64_t fallback) const;

  [[nodiscard]] std::vector<int64_t> integers(std::string_view key,
                                              std::vector<int64_t> fallback) const;
  [[nodiscard]] std::vector<double> numbers(std::string_view key,
                                            std::vector<double> fallback) const;

  /// Notes a problem of the field `key`.
  void refuse(std::string_view key, const std::string& problem) const;

 private:
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;
  [[nodiscard]] std::optional<int64_t> as_integer(const nlohmann::json& value) const;

  const nlohmann::json* object_;
  std::string path_;
  std::vector<std::string>* problems_;
};

}  // namespace sam3trt
