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

/// One engine whose inputs and outputs stay on the GPU. A call whose shapes are those of the call
/// before, and whose addresses are those of one of the last few with them, is recorded into a CUDA
/// graph and launched as one from then on: objects that are followed and those that begin take the
/// same inputs from different places, in turn. A graph holds addresses, so it is right for as long
/// as the plan has its shapes and its activations stay where they are. Memory grows with the shapes
/// and never shrinks, so repeated shapes allocate nothing. A run that fails is as one that was not
/// asked for: the next one prepares again whatever is not ready.
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

  /// Calls that differ in nothing.
  struct Recording {
    std::vector<DevicePointer> addresses;  ///< Of the inputs.
    std::optional<CudaGraph> graph{};
    int failures = 0;
    int runs = 0;
  };

  void prepare(const Stream& stream);
  void check_inputs() const;
  void bind_inputs();
  [[nodiscard]] Recording& recording();
  void start(const Stream& stream);

  std::string name_;
  std::unique_ptr<PlanContext> plan_;
  std::map<std::string, Input> inputs_;
  std::map<std::string, DeviceBuffer> outputs_;
  std::vector<Recording> recordings_;  ///< The last used one last.
  uint64_t activation_bytes_ = 0;      ///< What the shapes need.
  DevicePointer activations_ = 0;  ///< What the plan was given; 0 when it has to be given again.
  bool shapes_changed_ = true;
  bool addresses_changed_ = true;
};

}  // namespace sam3trt
