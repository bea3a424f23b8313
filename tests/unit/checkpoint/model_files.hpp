#pragma once

// A small SAM 3 model as a checkpoint of either format, and the lists of the full-size tensors.

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/checked.hpp"
#include "checkpoint/config.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "file_builders.hpp"

namespace sam3trt::testing_files {

/// The smallest model that both formats can express; every size that may differ differs.
inline nlohmann::json tiny_config_json() {
  const auto stack = [](int layers, int intermediate) {
    return nlohmann::json{{"hidden_size", 8},
                          {"num_layers", layers},
                          {"num_attention_heads", 2},
                          {"intermediate_size", intermediate}};
  };
  nlohmann::json json{{"model_type", "sam3"},
                      {"vision_config",
                       {{"fpn_hidden_size", 8},
                        {"backbone_config",
                         {{"hidden_size", 16},
                          {"intermediate_size", 20},
                          {"num_hidden_layers", 3},
                          {"num_attention_heads", 2},
                          {"image_size", 24},
                          {"patch_size", 4},
                          {"window_size", 2},
                          {"global_attn_indexes", {1}},
                          {"pretrain_image_size", 12}}}}},
                      {"text_config",
                       {{"vocab_size", 11},
                        {"hidden_size", 64},
                        {"intermediate_size", 12},
                        {"num_hidden_layers", 2},
                        {"num_attention_heads", 1},
                        {"max_position_embeddings", 5},
                        {"hidden_act", "gelu"},
                        {"bos_token_id", 9},
                        {"eos_token_id", 10}}},
                      {"geometry_encoder_config", stack(1, 14)},
                      {"detr_encoder_config", stack(2, 18)},
                      {"detr_decoder_config", stack(3, 22)},
                      {"mask_decoder_config", {{"hidden_size", 8}, {"num_attention_heads", 2}}}};
  json["geometry_encoder_config"]["roi_size"] = 3;
  json["detr_decoder_config"]["num_queries"] = 6;
  return json;
}

/// Bytes of float32 values that differ from tensor to tensor and from place to place.
inline std::string values_of(const std::string& name, size_t count) {
  uint32_t state = 2166136261U;
  for (const char c : name) state = (state ^ static_cast<uint8_t>(c)) * 16777619U;
  std::string bytes(count * sizeof(float), '\0');
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    const float value = static_cast<float>(state >> 8U) / 16777216.0F - 0.5F;
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(value));
  }
  return bytes;
}

inline size_t count_of(const Shape& shape) {
  return static_cast<size_t>(checked_element_count(shape).value());
}

/// The needed tensors of a model in Hugging Face's naming.
inline std::vector<FileTensor> hugging_face_tensors(const Sam3Config& config,
                                                    const std::string& prefix = "") {
  std::vector<FileTensor> tensors;
  for (const NamedTensor& needed : needed_tensors(config)) {
    tensors.push_back({prefix + needed.name, "F32", needed.shape,
                       values_of(needed.name, count_of(needed.shape))});
  }
  return tensors;
}

/// The same values in Meta's naming and packing, with the rotation tables that give the sizes.
inline std::vector<FileTensor> meta_tensors(const Sam3Config& config) {
  std::vector<FileTensor> tensors;
  std::map<std::string, size_t> index;
  for (const NamedTensor& needed : needed_tensors(config)) {
    const auto [at, fresh] = index.emplace(needed.meta_name, tensors.size());
    if (fresh) {
      tensors.push_back({"detector." + needed.meta_name, "Float", needed.meta_shape,
                         std::string(count_of(needed.meta_shape) * sizeof(float), '\0')});
    }
    const std::string values = values_of(needed.name, count_of(needed.shape));
    tensors[at->second].bytes.replace(static_cast<size_t>(needed.meta_offset) * sizeof(float),
                                      values.size(), values);
  }
  const VisionConfig& vision = config.vision;
  for (int64_t block = 0; block < vision.stack.layers; ++block) {
    const bool global =
        std::ranges::find(vision.global_blocks, block) != vision.global_blocks.end();
    const int64_t side = global ? vision.grid() : vision.window;
    const int64_t half = vision.hidden / vision.stack.heads / 2;
    tensors.push_back({"detector.backbone.vision_backbone.trunk.blocks." + std::to_string(block) +
                           ".attn.freqs_cis",
                       "ComplexFloat",
                       {side * side, half},
                       std::string(static_cast<size_t>(side * side * half) * 8, '\0')});
  }
  return tensors;
}

/// Expands "a.{0-2,5}.b" to a.0.b, a.1.b, a.2.b, a.5.b; "{}" in the rest repeats the number.
inline std::vector<std::string> expand_line(const std::string& line) {
  const size_t open = line.find('{');
  if (open == std::string::npos) return {line};
  const size_t close = line.find('}', open);
  std::vector<std::string> lines;
  std::stringstream numbers(line.substr(open + 1, close - open - 1));
  for (std::string part; std::getline(numbers, part, ',');) {
    const size_t dash = part.find('-');
    const int first = std::stoi(part);
    const int last = dash == std::string::npos ? first : std::stoi(part.substr(dash + 1));
    for (int number = first; number <= last; ++number) {
      std::string rest = line.substr(close + 1);
      const size_t again = rest.find("{}");
      if (again != std::string::npos) rest.replace(again, 2, std::to_string(number));
      lines.push_back(line.substr(0, open) + std::to_string(number) + rest);
    }
  }
  return lines;
}

/// The expanded lines of a file in tests/data/checkpoint, comments left out.
inline std::vector<std::string> read_list(const std::string& name) {
  std::ifstream file(std::string(SAM3TRT_TEST_DATA "/checkpoint/") + name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    for (std::string& expanded : expand_line(line)) lines.push_back(std::move(expanded));
  }
  return lines;
}

/// A full-size list as tensors without bytes.
inline std::vector<StoredTensor> read_tensor_list(const std::string& name) {
  std::vector<StoredTensor> tensors;
  for (const std::string& line : read_list(name)) {
    StoredTensor tensor;
    std::string shape;
    std::stringstream(line) >> tensor.name >> tensor.dtype_name >> shape;
    tensor.dtype = tensor.dtype_name == "F32" ? DType::kF32 : DType::kC64;
    std::stringstream dims(shape);
    for (std::string dim; std::getline(dims, dim, 'x');) tensor.shape.push_back(std::stoll(dim));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace sam3trt::testing_files
