#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.hpp"
#include "checkpoint/config.hpp"
#include "components/components.hpp"
#include "runtime/model_files.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt::parity {

/// One tiny checkpoint under one semantics, for example {kMeta, "tiny_a"}.
struct Reference {
  Semantics semantics = Semantics::kHf;
  std::string name;
};

/// "hf" or "meta".
[[nodiscard]] std::string name_of(Semantics semantics);

/// "hf_tiny_a".
[[nodiscard]] std::string name_of(const Reference& reference);

/// All references: three tiny checkpoints of Hugging Face, two of them also in Meta's format.
[[nodiscard]] std::vector<Reference> all_references();

/// Where the build's test fixture wrote that checkpoint: a folder, or `sam3.pt` for Meta's. Throws
/// when it is not there.
[[nodiscard]] std::filesystem::path checkpoint_of(const Reference& reference);

/// One prompt of a case, with what the reference answered.
struct GoldenPrompt {
  std::string key;    ///< "text_box/0": case and number, the prefix of its tensors.
  std::string image;  ///< File name in test_images/.
  int64_t width = 0;
  int64_t height = 0;
  double threshold = 0;
  double mask_threshold = 0;
  std::optional<std::string> text;
  std::vector<std::array<double, 4>> boxes;  ///< x0 y0 x1 y1 in pixels.
  std::vector<int64_t> labels;
  double presence = 0;
  std::shared_ptr<const nlohmann::json> instances;  ///< As in the result of `infer`.
};

/// How far a tensor is from its golden.
struct Difference {
  double cosine = 0;
  double largest_error = 0;
};

/// A tensor as it is stored: all values or every `stride`-th of one type.
struct Golden {
  Shape shape;
  int64_t stride = 1;
  double scale = 1;  ///< Of bytes that stand for numbers.
  double offset = 0;
  std::vector<float> values;
  std::vector<int64_t> integers;
  std::vector<uint8_t> bytes;
};

/// The goldens of one reference (tools/reference/make_goldens.py, make_meta_goldens.py).
class Goldens {
 public:
  explicit Goldens(const Reference& reference);

  [[nodiscard]] const std::vector<GoldenPrompt>& prompts() const { return prompts_; }

  [[nodiscard]] bool has(const std::string& key) const { return tensors_.contains(key); }

  /// Those that a session takes. Under hf a text that is longer than the context is refused; its
  /// golden was made from the ids up to there, so the components are compared on it all the same.
  [[nodiscard]] std::vector<GoldenPrompt> session_prompts(const Tokenizer& tokenizer,
                                                          const ModelConfig& config,
                                                          Semantics semantics) const;

  /// The reference's resized picture as height x width x 3 bytes, RGB.
  [[nodiscard]] const std::vector<uint8_t>& pixels(const std::string& image) const;

  /// Token ids [1, L].
  [[nodiscard]] Tensor input_ids(const GoldenPrompt& prompt) const;

  /// Compares all values of `found` with the stored sample; `shape` is the shape without batch
  /// axis. Throws when the shape is not the golden's.
  [[nodiscard]] Difference compare(const std::string& key, std::span<const float> found,
                                   const Shape& shape) const;

 private:
  [[nodiscard]] const Golden& golden(const std::string& key) const;

  std::map<std::string, Golden> tensors_;
  std::map<std::string, Golden> pixels_;  ///< Both semantics see the same pictures.
  std::vector<GoldenPrompt> prompts_;
};

/// One call of a component: keys of tensors by the names that they have in the graph.
struct ComponentCase {
  Component component = Component::kVisionEncoder;
  std::map<std::string, std::string> inputs;
  std::map<std::string, std::string> outputs;
};

/// The goldens of the tracker's components (tools/reference/make_tracker_goldens.py).
class ComponentGoldens {
 public:
  /// Of hf/`name`.components.
  explicit ComponentGoldens(const std::string& name);

  [[nodiscard]] const std::vector<ComponentCase>& cases() const { return cases_; }

  /// An input that no case gives; bytes become numbers as the document says.
  [[nodiscard]] Tensor input(const std::string& key) const;

  /// Throws when the shape is not the golden's.
  [[nodiscard]] Difference compare(const std::string& key, const Tensor& found) const;

 private:
  std::vector<ComponentCase> cases_;
  std::map<std::string, Golden> tensors_;
};

/// tests/parity/thresholds.json.
[[nodiscard]] const nlohmann::json& thresholds();

}  // namespace sam3trt::parity
