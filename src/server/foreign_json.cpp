#include "server/foreign_json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "checkpoint/strict_json.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse_field(const std::string& field, const std::string& expected) {
  throw HttpError(422, "bad_input",
                  (field.empty() ? std::string("the request") : field) + ": expected " + expected,
                  field);
}

}  // namespace

Json json_body(std::string_view body) {
  try {
    return parse_strict_json(std::as_bytes(std::span(body.data(), body.size())), "the request");
  } catch (const Error& error) {
    throw HttpError(400, "bad_json", error.what());
  }
}

RequestFields::RequestFields(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object.is_object()) refuse_field(path_, "a JSON object");
}

const Json* RequestFields::find(const std::string& name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const Json* RequestFields::object(const std::string& name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_object()) refuse(name, "a JSON object");
  return value;
}

const Json* RequestFields::list(const std::string& name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_array()) refuse(name, "a list");
  return value;
}

std::optional<std::string> RequestFields::text(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(name, "a text");
  return value->get<std::string>();
}

std::optional<double> RequestFields::number(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(name, "a number");
  return value->get<double>();
}

std::optional<bool> RequestFields::boolean(const std::string& name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

std::string RequestFields::needed_text(const std::string& name) const {
  const auto value = text(name);
  if (!value) refuse(name, "a text");
  return *value;
}

double RequestFields::needed_number(const std::string& name) const {
  const auto value = number(name);
  if (!value) refuse(name, "a number");
  return *value;
}

std::string RequestFields::path(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

void RequestFields::refuse(const std::string& name, const std::string& expected) const {
  refuse_field(path(name), expected);
}

}  // namespace sam3trt
