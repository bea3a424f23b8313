#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/engine.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {

/// The graphs of one model, each on some backend; those that the model lacks are absent.
class SessionEngines {
 public:
  /// Makes an engine; called once, at its first use.
  using Maker = std::function<std::unique_ptr<Engine>()>;

  void set(Component component, std::unique_ptr<Engine> engine);
  void set_later(Component component, Maker maker);

  [[nodiscard]] bool has(Component component) const { return engines_.contains(component); }

  /// Throws Error(kBadInput) that names the task when the model has no such component. Makes the
  /// engine where that was left for later; one call at a time.
  [[nodiscard]] Engine& at(Component component) const;

  /// Takes the engine out, made where needed; throws as at().
  [[nodiscard]] std::unique_ptr<Engine> take(Component component);

 private:
  struct Entry {
    std::unique_ptr<Engine> engine;
    Maker maker;
  };
  mutable std::map<Component, Entry> engines_;
};

/// Engines that several sessions share: they take turns, because one call uses all processors.
struct SharedEngines {
  explicit SharedEngines(SessionEngines all) : engines(std::move(all)) {}

  SessionEngines engines;
  std::mutex turn;
};

/// How much goes through a graph at once; bounds memory. All at least 1.
struct SessionLimits {
  size_t prompts = 8;      ///< Prompts in one call of the text encoder and the detector.
  size_t masks = 256;      ///< Masks of one prompt in one call of the mask head.
  size_t texts = 1 << 12;  ///< Texts whose embeddings are kept.
};

/// Tensors in host memory, through engines that take and give them there: one image and one
/// prompt's masks at once. What a graph gives is checked; NonFiniteError names graph and output.
class CpuBackend : public Backend {
 public:
  CpuBackend(std::shared_ptr<SharedEngines> engines, const ModelConfig& config, Semantics semantics,
             const SessionLimits& limits);

  [[nodiscard]] CallLimits limits() const override;
  [[nodiscard]] int64_t mask_slots(size_t count) const override {
    return static_cast<int64_t>(count);
  }
  void check(const PreparedCall& call, MaskOutput masks) const override;
  void check(const ImageView& image) const override;
  void begin() override;
  void wait() override {}
  void end() override {}
  void recover() noexcept override { timings_ = {}; }
  void load_images(std::span<const ImageView> images) override;
  void put(Component component, const std::string& name, const Tensor& tensor) override;
  void put_texts(const PromptBatch& batch, const PreparedCall& call) override;
  void put_zeros(const std::string& name, const Shape& shape) override;
  void put_output(Component component, const std::string& name, Component from,
                  const std::string& output) override;
  void put_resized(Component component, const std::string& name,
                   std::span<const ResizedPlane> planes, int64_t side) override;
  [[nodiscard]] int64_t padded_size(Component /*component*/, const std::string& /*input*/,
                                    size_t /*axis*/) override {
    return 0;
  }
  void put_kept(Component component, const std::string& name,
                std::span<const std::shared_ptr<const KeptTensor>> kept,
                const Shape& shape) override;
  void run(Component component, const AxisSizes& sizes) override;
  [[nodiscard]] std::vector<Tensor> read(Component component,
                                         std::span<const OutputPart> parts) override;
  [[nodiscard]] std::vector<std::shared_ptr<const KeptTensor>> keep_rows(
      Component component, const std::string& output) override;
  [[nodiscard]] std::shared_ptr<const KeptTensor> restore(
      std::span<const uint16_t> values) override;
  [[nodiscard]] std::vector<PromptDetections> detections(
      std::span<const std::array<int64_t, 2>> sizes, float threshold) override;
  [[nodiscard]] std::vector<FoundMask> masks(std::span<const MaskPlane> wanted, int64_t planes,
                                             int64_t side, float threshold,
                                             MaskOutput output) override;
  [[nodiscard]] std::vector<std::array<int64_t, 2>> count_logits(std::span<const size_t> planes,
                                                                 int64_t side, float high,
                                                                 float low) override;
  [[nodiscard]] std::vector<FoundMask> object_masks(std::span<const MaskPlane> wanted,
                                                    int64_t planes, int64_t side) override;
  [[nodiscard]] std::vector<LogitPlane> keep_planes(Component component,
                                                    std::span<const size_t> planes,
                                                    int64_t side) override;
  [[nodiscard]] std::vector<std::vector<uint64_t>> bits_above(Component component,
                                                              std::span<const size_t> planes,
                                                              int64_t side) override;
  [[nodiscard]] std::vector<CleanedPlane> clean_planes(std::span<const LogitPlane> planes,
                                                       int64_t side, int64_t max_area) override;
  [[nodiscard]] std::vector<int64_t> won_areas(std::span<const LogitPlane> planes) override;
  [[nodiscard]] std::vector<LogitPlane> lowered_planes(std::span<const LogitPlane> planes,
                                                       float most) override;
  [[nodiscard]] LogitPlane keep_plane(std::vector<float> logits) override { return logits; }
  [[nodiscard]] std::vector<FoundMask> logit_masks(std::span<const LogitPlane> planes, int64_t side,
                                                   std::array<int64_t, 2> size,
                                                   LogitCut cut) override;
  [[nodiscard]] std::unique_ptr<FeatureStore> keep_features() override;
  void use_features(const FeatureStore& features) override;
  [[nodiscard]] bool keep_only_texts(const PreparedCall& /*texts*/) override { return false; }
  void timed(double Timings::*counter, const std::function<void()>& work) override;
  [[nodiscard]] Timings take_timings() override;

 private:
  void encode_missing(const PromptBatch& batch, const PreparedCall& call);
  [[nodiscard]] std::map<std::string, Tensor> run_on(Component component, const TensorMap& inputs,
                                                     const AxisSizes& sizes);

  std::shared_ptr<SharedEngines> engines_;
  ModelConfig config_;
  Semantics semantics_;
  SessionLimits limits_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::vector<float>, std::less<>> texts_;  ///< `text_features` [L, D]
  Timings timings_;
};

}  // namespace sam3trt
