#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/device.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// Type of a plan's input or output; nothing when it has none of that name.
[[nodiscard]] std::optional<DType> type_of(const LoadedPlan& plan, const std::string& name);

/// One engine whose inputs and outputs stay on the GPU. A call whose shapes and addresses equal
/// those of the call before is recorded into a CUDA graph and launched as one from then on. Memory
/// grows with the shapes and never shrinks, so repeated shapes allocate nothing. A run that fails
/// is as one that was not asked for: the next one prepares again whatever is not ready.
class GpuStage {
 public:
  /// `name` appears in messages.
  GpuStage(std::string name, const LoadedPlan& plan, const CudaDevice& device);

  /// The input in device memory, which must stay there for all later runs. Names that the plan
  /// lacks are ignored: it does not need them. Throws Error(kBadInput) for a shape that the engine
  /// was not built for.
  void set_input(const std::string& name, Shape shape, DevicePointer address);

  /// Puts the work into the stream. `activations` is shared by all stages of the stream and grows
  /// when it is too small.
  void run(const Stream& stream, DeviceBuffer& activations);

  /// Where an output lies after run(); it moves only when shapes change.
  [[nodiscard]] DevicePointer output(const std::string& name) const;

  /// Type of an input or output; nothing when the plan has none of that name.
  [[nodiscard]] std::optional<DType> type_of(const std::string& name) const;

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Input {
    Shape shape;
    DevicePointer address = 0;
    ProfileShape profile;
  };

  void prepare(const Stream& stream);
  void start(const Stream& stream);

  std::string name_;
  std::unique_ptr<PlanContext> plan_;
  std::map<std::string, Input> inputs_;
  std::map<std::string, DeviceBuffer> outputs_;
  std::optional<CudaGraph> graph_;
  uint64_t activation_bytes_ = 0;  ///< What the shapes need.
  DevicePointer activations_ = 0;  ///< What the plan was given; 0 when it has to be given again.
  bool changed_ = true;
  int failed_recordings_ = 0;  ///< In these shapes.
  int runs_ = 0;               ///< Since the last change.
};

}  // namespace sam3trt
