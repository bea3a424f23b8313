#include "verify/gate.hpp"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "verify/builtin_gate.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

/// Reads numbers and collects what is wrong.
class Reader {
 public:
  double number(const Json& object, const std::string& key, const std::string& where) {
    if (object.is_object() && object.contains(key) && object[key].is_number()) {
      const double value = object[key].get<double>();
      if (std::isfinite(value) && value >= 0) return value;
    }
    problems_ += "\n  " + where + "/" + key + ": expected a number of at least 0";
    return 0;
  }

  const Json& object(const Json& parent, const std::string& key, const std::string& where) {
    static const Json kEmpty = Json::object();
    if (parent.is_object() && parent.contains(key) && parent[key].is_object()) return parent[key];
    problems_ += "\n  " + where + "/" + key + ": expected an object";
    return kEmpty;
  }

  void known(const Json& object, std::initializer_list<std::string_view> keys,
             const std::string& where) {
    for (const auto& item : object.items()) {
      if (std::ranges::find(keys, item.key()) != keys.end()) continue;
      problems_ += "\n  " + where + "/" + item.key() + ": unknown key";
    }
  }

  GateLimits limits(const Json& entry, const std::string& where) {
    known(entry, {"deviation", "yardstick_factor", "result"}, where);
    GateLimits limits;
    const Json& deviation = object(entry, "deviation", where);
    for (const auto& item : deviation.items()) {
      limits.deviation[item.key()] = number(deviation, item.key(), where + "/deviation");
    }
    if (!limits.deviation.contains("*")) problems_ += "\n  " + where + "/deviation/*: missing";
    limits.yardstick_factor = number(entry, "yardstick_factor", where);
    const Json& result = object(entry, "result", where);
    known(result, {"mask_iou", "score_error", "box_error_pixels", "borderline_score"},
          where + "/result");
    limits.mask_iou = number(result, "mask_iou", where + "/result");
    limits.score_error = number(result, "score_error", where + "/result");
    limits.box_error_pixels = number(result, "box_error_pixels", where + "/result");
    limits.borderline_score = number(result, "borderline_score", where + "/result");
    return limits;
  }

  void check(const std::string& where) const {
    if (problems_.empty()) return;
    throw_bad_input(where + ": wrong limits (docs/verification.md):" + problems_);
  }

 private:
  std::string problems_;
};

}  // namespace

std::string_view name_of(OutputVerdict verdict) {
  switch (verdict) {
    case OutputVerdict::kPassed:
      return "passed";
    case OutputVerdict::kFailed:
      return "failed";
    case OutputVerdict::kUndecidable:
      return "undecidable";
  }
  return "failed";
}

Gate Gate::builtin() { return parse(builtin_gate(), "configs/verify/gate.json"); }

Gate Gate::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  constexpr size_t kLargest = size_t{1} << 20;
  if (file.bytes().size() > kLargest) throw_bad_input(path.string() + ": larger than 1 MiB");
  return parse({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
               path.string());
}

Gate Gate::parse(std::string_view text, const std::string& where) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw_bad_input(where + ": not a JSON object");
  if (json.value("format", Json()) != Json(1)) throw_bad_input(where + "/format: expected 1");
  Reader reader;
  Gate gate;
  reader.known(json, {"format", "precisions", "undecidable_yardstick"}, "");
  const Json& precisions = reader.object(json, "precisions", "");
  reader.known(precisions, {"fp32", "fp16", "bf16", "fp8"}, "/precisions");
  for (const Precision precision :
       {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
    const std::string name(name_of(precision));
    gate.limits_[precision] =
        reader.limits(reader.object(precisions, name, "/precisions"), "/precisions/" + name);
  }
  gate.undecidable_yardstick_ = reader.number(json, "undecidable_yardstick", "");
  reader.check(where);
  return gate;
}

const GateLimits& Gate::limits(Precision precision) const { return limits_.at(precision); }

std::string Gate::sha256() const {
  Json json = {{"undecidable_yardstick", undecidable_yardstick_}};
  for (const auto& [precision, limits] : limits_) {
    json[std::string(name_of(precision))] = {{"deviation", limits.deviation},
                                             {"yardstick_factor", limits.yardstick_factor},
                                             {"mask_iou", limits.mask_iou},
                                             {"score_error", limits.score_error},
                                             {"box_error_pixels", limits.box_error_pixels},
                                             {"borderline_score", limits.borderline_score}};
  }
  const std::string text = json.dump();
  return sha256_hex(std::as_bytes(std::span(text)));
}

OutputVerdict Gate::judge(Precision precision, const std::string& output, double deviation,
                          std::optional<double> yardstick) const {
  const GateLimits& limits = limits_.at(precision);
  const auto own = limits.deviation.find(output);
  const double limit = own == limits.deviation.end() ? limits.deviation.at("*") : own->second;
  if (deviation <= limit) return OutputVerdict::kPassed;
  if (!yardstick) return OutputVerdict::kFailed;
  if (*yardstick > undecidable_yardstick_) return OutputVerdict::kUndecidable;
  return deviation <= limits.yardstick_factor * *yardstick ? OutputVerdict::kPassed
                                                           : OutputVerdict::kFailed;
}

}  // namespace sam3trt
