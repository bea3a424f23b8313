#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "runtime/backend.hpp"

namespace sam3trt {

/// What the vision encoder made of some images.
struct EncodedImages {
  std::unique_ptr<FeatureStore> store;
  std::vector<std::array<int64_t, 2>> sizes;  ///< Width and height in pixels.
  Timings timings;                            ///< Of all images together.
};

/// From images and prompts to instances, on any backend: which component runs when, on what, in
/// which batches. One call at a time; a call that throws leaves everything as it was.
class Pipeline {
 public:
  /// The tokenizer must outlive the pipeline.
  Pipeline(std::unique_ptr<Backend> backend, const Tokenizer& tokenizer, const ModelConfig& config,
           Semantics semantics);

  [[nodiscard]] const Backend& backend() const { return *backend_; }

  /// As Session::run, encode, detect and keep_only_texts of sam3trt/session.hpp.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const DetectOptions& options);
  [[nodiscard]] EncodedImages encode(std::span<const ImageView> images);
  [[nodiscard]] std::vector<ImageResult> detect(const EncodedImages& features,
                                                std::span<const std::span<const Prompt>> prompts,
                                                const DetectOptions& options);
  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts);

  /// Calls `work` as one call of the backend, which finds the features' tensors; the times that it
  /// took on the device.
  Timings with_features(const EncodedImages& features,
                        const std::function<void(Backend& backend)>& work);

 private:
  struct MaskJob;
  using Results = std::span<ImageResult>;

  template <typename Work>
  auto guarded(const Work& work);
  void encode_group(std::span<const ImageView> images);
  template <typename Encode>
  void run_group(const ImageGroup& group, const PreparedCall& call, const DetectOptions& options,
                 Results results, const Encode& encode);
  void detect_batch(const PromptBatch& batch, const PreparedCall& call,
                    const DetectOptions& options, Results results);
  void run_detector(const PromptBatch& batch, const PreparedCall& call);
  [[nodiscard]] std::span<const MaskJob> next_jobs(std::span<const MaskJob> jobs) const;
  void add_masks(std::span<const MaskJob> jobs, const PromptBatch& batch,
                 std::span<const PromptDetections> found, const DetectOptions& options,
                 Results results);
  void warn_of(const PreparedCall& call);
  [[nodiscard]] AxisSizes sizes_with(std::initializer_list<AxisSizes::value_type> more) const;

  std::unique_ptr<Backend> backend_;
  const Tokenizer& tokenizer_;
  ModelConfig config_;
  Semantics semantics_;
  CallLimits limits_;
  AxisSizes sizes_;
  int64_t images_ = 0;              ///< That are encoded.
  std::set<std::string> warnings_;  ///< Each is said once.
};

}  // namespace sam3trt
