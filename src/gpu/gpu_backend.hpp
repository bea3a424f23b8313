#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gpu/gpu_bits.hpp"
#include "gpu/gpu_cleaner.hpp"
#include "gpu/gpu_counts.hpp"
#include "gpu/gpu_detections.hpp"
#include "gpu/gpu_images.hpp"
#include "gpu/gpu_kept.hpp"
#include "gpu/gpu_masks.hpp"
#include "gpu/gpu_model.hpp"
#include "gpu/gpu_overlaps.hpp"
#include "gpu/gpu_stage.hpp"
#include "gpu/gpu_texts.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {

/// Tensors in the memory of a GPU, through TensorRT's engines and this program's kernels. From the
/// upload of an image's bytes to the run lengths of the masks, everything stays there. One stream;
/// repeated shapes run as CUDA graphs and allocate nothing. One call at a time; backends of several
/// threads do not disturb one another.
class GpuBackend : public Backend {
 public:
  explicit GpuBackend(std::shared_ptr<const GpuModel> model);
  ~GpuBackend() override;

  [[nodiscard]] CallLimits limits() const override { return model_->limits(); }
  [[nodiscard]] int64_t mask_slots(size_t count) const override;
  void check(const PreparedCall& call, MaskOutput masks) const override;
  void check(const ImageView& /*image*/) const override {}
  void begin() override;
  void wait() override { uploader_.wait(stream_); }
  void end() override;
  void recover() noexcept override;
  void load_images(std::span<const ImageView> images) override;
  void put(Component component, const std::string& name, const Tensor& tensor) override;
  void put_texts(const PromptBatch& batch, const PreparedCall& call) override;
  void put_zeros(const std::string& name, const Shape& shape) override;
  void put_output(Component component, const std::string& name, Component from,
                  const std::string& output) override;
  void put_resized(Component component, const std::string& name,
                   std::span<const ResizedPlane> planes, int64_t side) override;
  [[nodiscard]] int64_t padded_size(Component component, const std::string& input,
                                    size_t axis) override;
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
  [[nodiscard]] LogitPlane keep_plane(std::vector<float> logits) override;
  [[nodiscard]] std::vector<FoundMask> logit_masks(std::span<const LogitPlane> planes, int64_t side,
                                                   std::array<int64_t, 2> size,
                                                   LogitCut cut) override;
  [[nodiscard]] std::unique_ptr<FeatureStore> keep_features() override;
  void use_features(const FeatureStore& features) override;
  [[nodiscard]] bool keep_only_texts(const PreparedCall& texts) override;
  void timed(double Timings::*counter, const std::function<void()>& work) override;
  [[nodiscard]] Timings take_timings() override;

 private:
  /// A stretch of the stream's work whose time on the GPU counts for one of the timings.
  struct Stretch {
    Event begin;
    Event end;
    double Timings::*counter = nullptr;
  };

  /// Where a tensor lies.
  struct Placed {
    Shape shape;
    DevicePointer address = 0;
  };

  /// Made at the first use, which may load the engine.
  [[nodiscard]] GpuStage& stage(Component component);
  [[nodiscard]] const Placed& placed(Component component, const std::string& name) const;
  /// Of the component's last run.
  [[nodiscard]] const Placed& given(Component component, const std::string& output) const;

  std::shared_ptr<const GpuModel> model_;
  Stream stream_;
  Uploader uploader_;
  DeviceBuffer activations_;
  std::map<std::string, DeviceBuffer> zeros_;
  std::map<Component, GpuStage> stages_;
  GpuTexts texts_;
  GpuImages images_;
  GpuDetections detections_;
  GpuMasks masks_;
  GpuCounts counts_;
  GpuBits bits_;
  GpuCleaner cleaner_;
  GpuOverlaps overlaps_;
  GpuMasks object_masks_;  ///< Logits are resized, whatever the semantics.
  GpuKept kept_;
  std::map<std::string, Placed> tensors_;  ///< Of the call.
  /// What each component gave in its last run, also where another one gives a tensor of that name.
  std::map<Component, std::map<std::string, Placed>> given_;
  DeviceBuffer logits_;        ///< Of logit_masks().
  PinnedBuffer host_outputs_;  ///< What is read; free after each read.
  std::vector<Stretch> stretches_;
  size_t used_stretches_ = 0;
  bool idle_ = true;  ///< Nothing of an earlier call is left in the stream.
};

}  // namespace sam3trt
