#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/json_fields.hpp"
#include "checkpoint/name_list.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace {

// Pillow's Resampling, which the file gives as a number.
constexpr std::array<const char*, 6> kFilters = {"nearest", "lanczos", "bilinear",
                                                 "bicubic", "box",     "hamming"};
constexpr int64_t kBilinear = 2;

// Steps that are read below.
constexpr std::array<std::string_view, 4> kKnownSteps = {"do_resize", "do_rescale", "do_normalize",
                                                         "do_convert_rgb"};

void check_resampling(const JsonFields& fields) {
  if (fields.is_text("resample")) {
    std::string name = fields.text("resample", "");
    std::ranges::transform(name, name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (name == "bilinear") return;
    fields.refuse("resample",
                  "\"" + printable(name) + "\" is not supported; expected 2 (bilinear)");
    return;
  }
  const int64_t filter = fields.integer("resample", kBilinear);
  if (filter == kBilinear) return;
  const bool known = filter >= 0 && filter < static_cast<int64_t>(kFilters.size());
  fields.refuse(
      "resample",
      std::to_string(filter) +
          (known ? std::string(" (") + kFilters.at(static_cast<size_t>(filter)) + ")" : "") +
          " is not supported; expected 2 (bilinear)");
}

/// {"height": n, "width": n} or n, the model's own.
void check_size(const JsonFields& fields, int64_t image_size) {
  if (!fields.has("size")) return;
  const auto check_side = [&](const std::string& key, int64_t side) {
    if (image_size == 0 || side == image_size) return;
    fields.refuse(key, "expected the model's image_size = " + std::to_string(image_size) +
                           ", found " + std::to_string(side));
  };
  if (!fields.is_object("size")) {
    check_side("size", fields.side("size", image_size));
    if (!fields.boolean("default_to_square", true)) {
      fields.refuse("default_to_square", "false is not supported: images are made square");
    }
    return;
  }
  const JsonFields size = fields.child("size");
  for (const char* key : {"height", "width"}) {
    if (!size.has(key)) {
      size.refuse(key, "is missing; images are resized to a height and a width");
    } else {
      check_side(std::string("size.") + key, size.integer(key, image_size));
    }
  }
  for (const char* key : {"shortest_edge", "longest_edge", "max_height", "max_width"}) {
    if (size.has(key)) size.refuse(key, "is not supported; expected height and width");
  }
}

/// Every other step that is switched on.
void check_steps(const JsonFields& fields) {
  if (!fields.boolean("do_resize", true)) {
    fields.refuse("do_resize", "false is not supported; images are resized to the model's size");
  }
  if (!fields.boolean("do_convert_rgb", true)) {
    fields.refuse("do_convert_rgb", "false is not supported; images are converted to RGB");
  }
  for (const std::string& key : fields.keys()) {
    const bool known = std::ranges::find(kKnownSteps, key) != kKnownSteps.end();
    if (known || !key.starts_with("do_") || !fields.has(key)) continue;
    if (fields.boolean(key, false)) {
      fields.refuse(printable(key), "true is not supported: a step that is not reproduced");
    }
  }
  const std::string type = fields.text("image_processor_type", "Sam3ImageProcessor");
  if (!type.starts_with("Sam3ImageProcessor") && !type.starts_with("Sam3VideoProcessor")) {
    fields.refuse("image_processor_type", "\"" + printable(type) +
                                              "\" is not supported; expected Sam3ImageProcessor "
                                              "or Sam3ImageProcessorFast");
  }
  if (const std::string layout = fields.text("data_format", "channels_first");
      layout != "channels_first") {
    fields.refuse("data_format",
                  "\"" + printable(layout) + "\" is not supported; expected channels_first");
  }
}

}  // namespace

void refuse_fields(const std::string& where, const std::vector<std::string>& problems) {
  throw_bad_input(where + ": cannot be used:" + first_lines(problems));
}

PreprocessConfig parse_preprocess_json(const nlohmann::json& json, const std::string& where,
                                       int64_t image_size) {
  std::vector<std::string> problems;
  const JsonFields top(&json, "", problems);
  const JsonFields fields = top.has("image_processor") ? top.child("image_processor") : top;
  check_steps(fields);
  check_resampling(fields);
  check_size(fields, image_size);
  PreprocessConfig result;
  result.rescale_factor = fields.boolean("do_rescale", true)
                              ? fields.number("rescale_factor", result.rescale_factor)
                              : 1.0;
  const bool normalize = fields.boolean("do_normalize", true);
  const auto read_channels = [&](const char* key, std::array<double, 3>& target, double neutral) {
    if (!normalize) {
      target.fill(neutral);
      return;
    }
    if (fields.is_number(key)) {  // one number for all channels
      target.fill(fields.number(key, neutral));
      return;
    }
    const auto values = fields.numbers(key, {target.begin(), target.end()});
    if (values.size() != target.size()) {
      fields.refuse(key, "expected 3 numbers, found " + std::to_string(values.size()));
      return;
    }
    std::copy(values.begin(), values.end(), target.begin());
  };
  read_channels("image_mean", result.mean, 0.0);
  read_channels("image_std", result.std, 1.0);
  if (result.rescale_factor <= 0.0) fields.refuse("rescale_factor", "expected a positive number");
  for (const double value : result.std) {
    if (value > 0.0) continue;
    fields.refuse("image_std", "expected positive numbers");
    break;
  }
  if (!problems.empty()) refuse_fields(where, problems);
  return result;
}

}  // namespace sam3trt
