#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/engine.hpp"
#include "image/image.hpp"
#include "runtime/model_files.hpp"
#include "runtime/prompt.hpp"
#include "runtime/request.hpp"
#include "runtime/result.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// The graphs of one model, each on some backend.
struct SessionEngines {
  std::unique_ptr<Engine> vision_encoder;
  std::unique_ptr<Engine> text_encoder;
  std::unique_ptr<Engine> geometry_encoder;
  std::unique_ptr<Engine> detector;
  std::unique_ptr<Engine> mask_head;
};

/// Loads one graph on the backend of the caller's choice.
using EngineLoader = std::function<std::unique_ptr<Engine>(const std::filesystem::path&)>;

/// All engines of a model.
[[nodiscard]] SessionEngines load_engines(const ModelFiles& files, const EngineLoader& load);

/// How much goes through a graph at once; bounds memory. All at least 1.
struct SessionLimits {
  size_t prompts = 8;      ///< Prompts in one call of the text encoder and the detector.
  size_t masks = 256;      ///< Masks of one prompt in one call of the mask head.
  size_t texts = 1 << 12;  ///< Texts whose embeddings are kept.
};

/// A loaded model: finds in an image what prompts ask for. One call at a time.
class Session {
 public:
  Session(SessionEngines engines, Tokenizer tokenizer, const ModelConfig& config,
          Semantics semantics, SessionLimits limits = {});

  /// Results in the order of `prompts`; the image's features are computed once, texts that were
  /// seen before are not encoded again. `path` and `timings_ms.decode` of the result are left to
  /// the caller. `error` is set, and there are no prompts, when a graph gives non-finite numbers.
  /// Throws Error(kBadInput), before anything runs, for an image that is not as large as it says,
  /// an empty prompt or a box outside the image.
  [[nodiscard]] ImageResult run(const Image& image, std::span<const Prompt> prompts,
                                const Thresholds& thresholds);

  /// One result per request; all of them are checked before anything runs.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const Thresholds& thresholds);

  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  struct TextEmbedding {
    std::vector<float> features;  ///< [L, D]
    std::vector<float> mask;      ///< [L]
  };
  struct Batch;

  void run_checked(const Image& image, std::span<const Prompt> prompts,
                   const Thresholds& thresholds, ImageResult& result);
  void encode_texts(std::span<const Prompt> prompts);
  [[nodiscard]] Batch detect(std::span<const Prompt> prompts, const Image& image,
                             const std::map<std::string, Tensor>& features);
  void add_masks(PromptResult& result, int64_t row, const Batch& batch,
                 const Thresholds& thresholds, const std::map<std::string, Tensor>& features,
                 ImageResult& image);

  SessionEngines engines_;
  Tokenizer tokenizer_;
  ModelConfig config_;
  Semantics semantics_;
  SessionLimits limits_;
  std::map<std::string, TextEmbedding, std::less<>> texts_;
};

}  // namespace sam3trt
