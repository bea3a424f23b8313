#include "checkpoint/json_fields.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace {

constexpr size_t kMaxListLength = 4096;

std::string found(const nlohmann::json& value) {
  return "found " + printable(value.dump(-1, ' ', true));
}

}  // namespace

JsonFields::JsonFields(const nlohmann::json* object, std::string path,
                       std::vector<std::string>& problems)
    : object_(object), path_(std::move(path)), problems_(&problems) {
  if (object_ != nullptr && !object_->is_object()) {
    problems_->push_back((path_.empty() ? "the file" : path_) + ": expected an object, " +
                         found(*object_));
    object_ = nullptr;
  }
}

const nlohmann::json* JsonFields::find(std::string_view key) const {
  if (object_ == nullptr) return nullptr;
  const auto entry = object_->find(key);
  return entry == object_->end() || entry->is_null() ? nullptr : &*entry;
}

bool JsonFields::is_text(std::string_view key) const {
  const auto* value = find(key);
  return value != nullptr && value->is_string();
}

bool JsonFields::is_number(std::string_view key) const {
  const auto* value = find(key);
  return value != nullptr && value->is_number();
}

bool JsonFields::is_object(std::string_view key) const {
  const auto* value = find(key);
  return value != nullptr && value->is_object();
}

std::vector<std::string> JsonFields::keys() const {
  std::vector<std::string> result;
  if (object_ == nullptr) return result;
  for (const auto& [key, value] : object_->items()) result.push_back(key);
  return result;
}

void JsonFields::refuse(std::string_view key, const std::string& problem) const {
  problems_->push_back((path_.empty() ? "" : path_ + ".") + std::string(key) + ": " + problem);
}

JsonFields JsonFields::child(std::string_view key) const {
  return {find(key), (path_.empty() ? "" : path_ + ".") + std::string(key), *problems_};
}

std::optional<int64_t> JsonFields::as_integer(const nlohmann::json& value) const {
  if (value.is_number_unsigned() && value.get<uint64_t>() <= INT64_MAX) {
    return value.get<int64_t>();
  }
  if (value.is_number_integer() && !value.is_number_unsigned()) return value.get<int64_t>();
  return std::nullopt;
}

int64_t JsonFields::integer(std::string_view key, int64_t fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = as_integer(*value);
  if (!number) refuse(key, "expected an integer, " + found(*value));
  return number.value_or(fallback);
}

double JsonFields::number(std::string_view key, double fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    refuse(key, "expected a number, " + found(*value));
    return fallback;
  }
  return value->get<double>();
}

bool JsonFields::boolean(std::string_view key, bool fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    refuse(key, "expected true or false, " + found(*value));
    return fallback;
  }
  return value->get<bool>();
}

std::string JsonFields::text(std::string_view key, std::string fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    refuse(key, "expected a string, " + found(*value));
    return fallback;
  }
  return value->get<std::string>();
}

int64_t JsonFields::side(std::string_view key, int64_t fallback) const {
  const auto* value = find(key);
  if (value == nullptr || !value->is_array()) return integer(key, fallback);
  const auto sides = integers(key, {});
  if (sides.size() == 2 && sides[0] == sides[1]) return sides[0];
  refuse(key, "expected one integer or two equal ones (square images only), " + found(*value));
  return fallback;
}

std::vector<int64_t> JsonFields::integers(std::string_view key,
                                          std::vector<int64_t> fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  std::vector<int64_t> result;
  bool good = value->is_array() && value->size() <= kMaxListLength;
  if (good) {
    for (const auto& item : *value) {
      const auto number = as_integer(item);
      good = good && number.has_value();
      result.push_back(number.value_or(0));
    }
  }
  if (good) return result;
  refuse(key, "expected a list of integers, " + found(*value));
  return fallback;
}

std::vector<double> JsonFields::numbers(std::string_view key, std::vector<double> fallback) const {
  const auto* value = find(key);
  if (value == nullptr) return fallback;
  std::vector<double> result;
  bool good = value->is_array() && value->size() <= kMaxListLength;
  if (good) {
    for (const auto& item : *value) {
      good = good && item.is_number() && std::isfinite(item.get<double>());
      result.push_back(good ? item.get<double>() : 0.0);
    }
  }
  if (good) return result;
  refuse(key, "expected a list of numbers, " + found(*value));
  return fallback;
}

}  // namespace sam3trt
