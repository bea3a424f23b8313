#include "goldens.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/mapped_file.hpp"
#include "checkpoint/safetensors.hpp"

namespace sam3trt::parity {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json read_json(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + ": cannot be opened");
  return json::parse(file);
}

template <typename T>
std::vector<T> elements(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::map<std::string, Golden> read_goldens(const std::string& semantics, const std::string& name,
                                           json& document) {
  const fs::path folder = fs::path(SAM3TRT_TEST_DATA) / "goldens" / semantics;
  document = read_json(folder / (name + ".json"));
  const MappedFile file(folder / (name + ".safetensors"));
  std::map<std::string, Golden> tensors;
  for (const StoredTensor& stored : parse_safetensors(file.bytes(), file.path().string())) {
    const json& layout = document.at("tensors").at(stored.name);
    Golden golden;
    golden.shape = layout.at("shape").get<Shape>();
    golden.scale = layout.value("scale", 1.0);
    golden.offset = layout.value("offset", 0.0);
    golden.stride = layout.at("stride").get<int64_t>();
    if (stored.dtype == DType::kF32) golden.values = elements<float>(stored.bytes);
    if (stored.dtype == DType::kI64) golden.integers = elements<int64_t>(stored.bytes);
    if (stored.dtype == DType::kU8) golden.bytes = elements<uint8_t>(stored.bytes);
    tensors.emplace(stored.name, std::move(golden));
  }
  return tensors;
}

void check_shape(const std::string& key, const Golden& expected, const Shape& shape) {
  if (shape == expected.shape) return;
  throw std::runtime_error(key + ": shape " + to_string(shape) + ", expected " +
                           to_string(expected.shape));
}

Difference difference_of(const Golden& expected, std::span<const float> found) {
  double product = 0;
  double found_square = 0;
  double expected_square = 0;
  Difference difference;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    const double a = found[i * static_cast<size_t>(expected.stride)];
    const double b = expected.values[i];
    product += a * b;
    found_square += a * a;
    expected_square += b * b;
    const double error = std::abs(a - b);
    const double counted = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
    difference.largest_error = std::max(difference.largest_error, counted);
  }
  difference.cosine = product / std::sqrt(found_square * expected_square);
  return difference;
}

}  // namespace

std::string name_of(Semantics semantics) { return semantics == Semantics::kHf ? "hf" : "meta"; }

std::string name_of(const Reference& reference) {
  return name_of(reference.semantics) + "_" + reference.name;
}

std::vector<Reference> all_references() {
  return {{Semantics::kHf, "tiny_a"},
          {Semantics::kHf, "tiny_b"},
          {Semantics::kHf, "tiny_c"},
          {Semantics::kMeta, "tiny_a"},
          {Semantics::kMeta, "tiny_b"}};
}

fs::path checkpoint_of(const Reference& reference) {
  fs::path path = fs::path(SAM3TRT_TINY_CHECKPOINTS) / name_of(reference);
  if (reference.semantics == Semantics::kMeta) path /= "sam3.pt";
  if (!fs::exists(path)) {
    throw std::runtime_error(path.string() + ": not there; run this test by 'ctest -R parity'");
  }
  return path;
}

Goldens::Goldens(const Reference& reference) {
  json document;
  pixels_ = read_goldens("hf", reference.name, document);
  tensors_ = read_goldens(name_of(reference.semantics), reference.name, document);
  for (const json& entry : document.at("cases")) {
    const json& image = entry.at("image");
    int64_t number = 0;
    for (const json& result : image.at("prompts")) {
      GoldenPrompt prompt;
      prompt.key = entry.at("name").get<std::string>() + "/" + std::to_string(number++);
      prompt.image = image.at("path");
      prompt.width = image.at("width");
      prompt.height = image.at("height");
      prompt.threshold = entry.at("threshold");
      prompt.mask_threshold = entry.at("mask_threshold");
      if (!result.at("text").is_null()) prompt.text = result.at("text").get<std::string>();
      prompt.boxes = result.at("boxes").get<std::vector<std::array<double, 4>>>();
      prompt.labels = result.at("box_labels").get<std::vector<int64_t>>();
      prompt.presence = result.at("presence");
      prompt.instances = std::make_shared<json>(result.at("instances"));
      prompts_.push_back(std::move(prompt));
    }
  }
}

const Golden& Goldens::golden(const std::string& key) const {
  const auto found = tensors_.find(key);
  if (found == tensors_.end()) throw std::runtime_error("there is no golden " + key);
  return found->second;
}

std::vector<GoldenPrompt> Goldens::session_prompts(const Tokenizer& tokenizer,
                                                   const ModelConfig& config,
                                                   Semantics semantics) const {
  std::vector<GoldenPrompt> taken;
  for (const GoldenPrompt& prompt : prompts_) {
    const std::string text = prompt.text.value_or("visual");
    const size_t tokens = tokenizer.encode_plain(text, semantics).size() + 2;
    if (semantics == Semantics::kHf && tokens > static_cast<size_t>(config.context_length))
      continue;
    taken.push_back(prompt);
  }
  return taken;
}

const std::vector<uint8_t>& Goldens::pixels(const std::string& image) const {
  return pixels_.at(image + "/pixel_u8").bytes;
}

Tensor Goldens::input_ids(const GoldenPrompt& prompt) const {
  const Golden& ids = golden(prompt.key + "/input_ids");
  return Tensor::from_i64({1, ids.shape.at(0)}, ids.integers);
}

Difference Goldens::compare(const std::string& key, std::span<const float> found,
                            const Shape& shape) const {
  const Golden& expected = golden(key);
  check_shape(key, expected, shape);
  return difference_of(expected, found);
}

ComponentGoldens::ComponentGoldens(const std::string& name) {
  json document;
  tensors_ = read_goldens("hf", name + ".components", document);
  for (const json& entry : document.at("cases")) {
    ComponentCase& found = cases_.emplace_back();
    found.component = component_named(entry.at("component").get<std::string>()).value();
    found.inputs = entry.at("inputs").get<std::map<std::string, std::string>>();
    found.outputs = entry.at("outputs").get<std::map<std::string, std::string>>();
  }
}

Tensor ComponentGoldens::input(const std::string& key) const {
  const Golden& golden = tensors_.at(key);
  if (!golden.integers.empty()) return Tensor::from_i64(golden.shape, golden.integers);
  if (golden.bytes.empty()) return Tensor::from_f32(golden.shape, golden.values);
  std::vector<float> values;
  if (!key.ends_with("/pixel_u8")) {
    for (const uint8_t byte : golden.bytes) {
      values.push_back(static_cast<float>(byte) * static_cast<float>(golden.scale) +
                       static_cast<float>(golden.offset));
    }
    return Tensor::from_f32(golden.shape, values);
  }
  // Images of pixels to planes, each value in -1..1.
  const Shape& shape = golden.shape;
  const auto area = static_cast<size_t>(shape.at(1) * shape.at(2));
  for (size_t image = 0; image < static_cast<size_t>(shape.at(0)); ++image) {
    for (size_t channel = 0; channel < 3; ++channel) {
      for (size_t pixel = 0; pixel < area; ++pixel) {
        const uint8_t byte = golden.bytes[(image * area + pixel) * 3 + channel];
        values.push_back((static_cast<float>(byte) - 127.5F) / 127.5F);
      }
    }
  }
  return Tensor::from_f32({shape.at(0), 3, shape.at(1), shape.at(2)}, values);
}

Difference ComponentGoldens::compare(const std::string& key, const Tensor& found) const {
  const Golden& expected = tensors_.at(key);
  check_shape(key, expected, found.shape());
  return difference_of(expected, found.f32());
}

const json& thresholds() {
  static const json value =
      read_json(fs::path(SAM3TRT_SOURCE_DIR) / "tests/parity/thresholds.json");
  return value;
}

}  // namespace sam3trt::parity
