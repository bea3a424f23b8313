#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu_session.hpp"

namespace sam3trt {

/// What a fake graph was given, copied.
using Call = std::map<std::string, Tensor>;
using Calls = std::map<std::string, std::vector<Call>>;

/// A graph whose outputs a function makes; it records every call.
class FakeEngine : public Engine {
 public:
  using Function = std::function<Call(const TensorMap&)>;

  FakeEngine(std::vector<Call>& calls, Function function)
      : calls_(calls), function_(std::move(function)) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return none_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return none_; }

  [[nodiscard]] Call run(const TensorMap& inputs) override {
    Call call;
    for (const auto& [name, tensor] : inputs) call.emplace(name, *tensor);
    calls_.push_back(std::move(call));
    return function_(inputs);
  }

 private:
  std::vector<Call>& calls_;
  Function function_;
  std::vector<TensorInfo> none_;
};

/// A model of fake graphs with sizes just large enough to tell the axes apart. The first token of
/// a text decides what its prompt finds: by default nothing.
class FakeModel {
 public:
  static constexpr int64_t kWidth = 2;
  static constexpr int64_t kGrid = 2;
  static constexpr int64_t kSide = 4 * kGrid;
  static constexpr int64_t kContext = 6;
  static constexpr int64_t kQueries = 5;
  static constexpr int64_t kPad = 0;
  static constexpr float kCertain = 40.0F;  ///< A logit whose probability is 1.

  /// Logits of the queries and the presence logit.
  struct Answer {
    std::vector<float> logits = std::vector<float>(kQueries, -kCertain);
    float presence = kCertain;
  };

  FakeModel() : tokenizer_(Tokenizer::load(SAM3TRT_TEST_DATA "/text")) {}

  /// The prompts of `text` get this answer.
  void set_answer(const std::string& text, Answer answer) {
    answers_[first_token(text)] = std::move(answer);
  }

  /// Changes what a graph gives, after the fact.
  void set_damage(const std::string& graph, std::function<void(Call&)> damage) {
    damage_[graph] = std::move(damage);
  }

  [[nodiscard]] CpuSession make_session(Semantics semantics, SessionLimits limits = {}) {
    SessionEngines engines;
    const auto set = [&](Component component, FakeEngine::Function function) {
      engines.set(component, engine(std::string(name_of(component)), std::move(function)));
    };
    set(Component::kVisionEncoder, [](const TensorMap&) { return features(); });
    set(Component::kTextEncoder, encode_texts);
    set(Component::kGeometryEncoder, encode_boxes);
    set(Component::kDetector, [this](const TensorMap& inputs) { return detect(inputs); });
    set(Component::kMaskHead, make_masks);
    return {std::move(engines), Tokenizer::load(SAM3TRT_TEST_DATA "/text"), config(), semantics,
            limits};
  }

  [[nodiscard]] const std::vector<Call>& calls(const std::string& graph) { return calls_[graph]; }

  [[nodiscard]] int64_t first_token(const std::string& text) const {
    return tokenizer_.encode(text, kContext, kPad, Semantics::kHf).ids.at(1);
  }

  static ModelConfig config() {
    ModelConfig config;
    config.image_size = 4;
    config.patch_size = 2;
    config.grid = kGrid;
    config.detector_width = kWidth;
    config.context_length = kContext;
    config.num_queries = kQueries;
    config.roi_size = 3;
    config.image_mean = {0.5, 0.5, 0.5};
    config.image_std = {0.5, 0.5, 0.5};
    config.rescale_factor = 1.0 / 255;
    config.pad_token_id = kPad;
    return config;
  }

 private:
  std::unique_ptr<Engine> engine(const std::string& name, FakeEngine::Function function) {
    return std::make_unique<FakeEngine>(
        calls_[name], [this, name, function = std::move(function)](const TensorMap& inputs) {
          Call outputs = function(inputs);
          if (damage_.contains(name)) damage_.at(name)(outputs);
          return outputs;
        });
  }

  static Tensor filled(Shape shape, float value) {
    Tensor tensor(DType::kF32, std::move(shape));
    std::ranges::fill(tensor.f32(), value);
    return tensor;
  }

  static Call features() {
    return {{"fpn_feat_0", filled({1, kWidth, 4 * kGrid, 4 * kGrid}, 0.1F)},
            {"fpn_feat_1", filled({1, kWidth, 2 * kGrid, 2 * kGrid}, 0.2F)},
            {"fpn_feat_2", filled({1, kWidth, kGrid, kGrid}, 0.3F)}};
  }

  /// Every feature of a text is its first token's number.
  static Call encode_texts(const TensorMap& inputs) {
    const Tensor& ids = *inputs.at("input_ids");
    Tensor features(DType::kF32, {ids.dim(0), kContext, kWidth});
    const auto size = static_cast<size_t>(kContext * kWidth);
    for (size_t row = 0; row < static_cast<size_t>(ids.dim(0)); ++row) {
      std::ranges::fill(features.f32().subspan(row * size, size),
                        static_cast<float>(ids.i64()[row * kContext + 1]));
    }
    return {{"text_features", std::move(features)}};
  }

  static Call encode_boxes(const TensorMap& inputs) {
    const Tensor& boxes = *inputs.at("boxes");
    return {{"geometry_features", filled({boxes.dim(0), boxes.dim(1) + 1, kWidth}, 0.5F)}};
  }

  Call detect(const TensorMap& inputs) const {
    const Tensor& text = *inputs.at("text_features");
    const int64_t rows = text.dim(0);
    Call outputs{{"pred_logits", Tensor(DType::kF32, {rows, kQueries})},
                 {"pred_boxes", filled({rows, kQueries, 4}, 0.5F)},
                 {"presence_logits", Tensor(DType::kF32, {rows, 1})},
                 {"query_features", filled({rows, kQueries, kWidth}, 0.6F)},
                 {"encoder_hidden_states", filled({rows, kGrid * kGrid, kWidth}, 0.7F)}};
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      const auto token = static_cast<int64_t>(text.f32()[row * kContext * kWidth]);
      const auto found = answers_.find(token);
      const Answer answer = found == answers_.end() ? Answer{} : found->second;
      std::ranges::copy(answer.logits,
                        outputs["pred_logits"].f32().subspan(row * kQueries).begin());
      outputs["presence_logits"].f32()[row] = answer.presence;
    }
    return outputs;
  }

  /// The mask of query q covers the first q + 1 of the eight columns.
  static Call make_masks(const TensorMap& inputs) {
    const Tensor& queries = *inputs.at("query_index");
    Tensor masks(DType::kF32, {queries.dim(0), queries.dim(1), kSide, kSide});
    for (size_t i = 0; i < masks.f32().size(); ++i) {
      const int64_t query = queries.i64()[i / (kSide * kSide)];
      masks.f32()[i] = static_cast<int64_t>(i % kSide) <= query ? kCertain : -kCertain;
    }
    return {{"pred_masks", std::move(masks)},
            {"semantic_seg", Tensor(DType::kF32, {queries.dim(0), 1, kSide, kSide})}};
  }

  Tokenizer tokenizer_;
  Calls calls_;
  std::map<int64_t, Answer> answers_;
  std::map<std::string, std::function<void(Call&)>> damage_;
};

}  // namespace sam3trt
