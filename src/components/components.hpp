#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// The graphs that a model consists of, in the order in which data goes through them. What each is
/// stands in the table of components.cpp and nowhere else; a test holds it against docs/graphs.md.
enum class Component {
  kVisionEncoder,
  kTextEncoder,
  kGeometryEncoder,
  kDetector,
  kMaskHead,
  kTrackerNeck,
  kMaskPrompt,
  kMemoryAttention,
  kSamDecoder,
  kMemoryEncoder,
};

/// What a component is needed for. A session loads the components of its tasks only.
enum class Task {
  kDetect,    ///< Instances that match a text or example boxes.
  kInteract,  ///< Objects that points, boxes or masks name.
  kTrack,     ///< The same through the frames of a video.
};

/// Which TensorRT optimisation profiles an engine of the component gets.
enum class ProfileChoice {
  kOne,               ///< A single one: a second would keep large weights twice.
  kOneTunedForOne,    ///< The same, tuned for one prompt unless asked otherwise.
  kSingleAndSeveral,  ///< One for exactly one image and prompt, one for several.
};

/// An input or output of a component. Axes are numbers or the symbols of docs/graphs.md, joined by
/// commas: "P,K+1,D".
struct ComponentTensor {
  std::string_view name;
  DType dtype = DType::kF32;  ///< Of the exported graph; an engine may take floats in 16 bits.
  std::string_view shape;
};

struct ComponentInfo {
  Component id;
  std::string_view name;  ///< Of the command line, metadata, recipes and reports.
  std::vector<Task> tasks;
  /// The component whose file names its own: "detector" in "detector.mask_head.onnx". None: the
  /// user chooses the name.
  std::optional<Component> beside;
  ProfileChoice profiles = ProfileChoice::kSingleAndSeveral;
  std::vector<ComponentTensor> inputs;
  std::vector<ComponentTensor> outputs;
};

/// The table, in the order of the enumeration.
[[nodiscard]] std::span<const ComponentInfo> components();
[[nodiscard]] const ComponentInfo& info_of(Component component);

/// "vision_encoder", ...
[[nodiscard]] std::string_view name_of(Component component);
[[nodiscard]] std::optional<Component> component_named(std::string_view name);

/// "vision_encoder, text_encoder, ..." for messages.
[[nodiscard]] std::string component_names();

/// The components whose files lie beside that of `main` and are named after it.
[[nodiscard]] std::vector<Component> components_beside(Component main);

/// Where the file of `component` lies: `main` is the file of the component it is named after.
/// "out/detector.onnx" gives "out/detector.mask_head.onnx".
[[nodiscard]] std::filesystem::path path_beside(const std::filesystem::path& main,
                                                Component component);

/// Where the tokenizer of the detector in `detector` lies: "out/detector.tokenizer.json".
[[nodiscard]] std::filesystem::path tokenizer_beside(const std::filesystem::path& detector);

/// Sizes of the symbols in shapes: {"P", 4}.
using AxisSizes = std::map<std::string, int64_t, std::less<>>;

/// The shape with these sizes: "K+1" is one more than K, "4g" four times g. An axis whose symbol is
/// not among them is -1.
[[nodiscard]] Shape shape_of(const ComponentTensor& tensor, const AxisSizes& sizes);

/// Whether the component is needed for the task.
[[nodiscard]] bool serves(Component component, Task task);

/// The first input of the component whose first axis is that symbol: what tells how many go through
/// it at once. None where nothing counts them.
[[nodiscard]] std::optional<std::string_view> input_counting(Component component,
                                                             std::string_view symbol);

/// Whether that axis of a component's input may have no elements: an object may have no pointers.
[[nodiscard]] bool may_be_empty(std::string_view input, size_t axis);

/// The component that gives `tensor`, the first of them; none where the host makes it.
[[nodiscard]] std::optional<Component> producer_of(std::string_view tensor);

/// A tensor that goes from one component to another.
struct Connection {
  Component from;
  Component to;
  std::string_view tensor;
};

/// All of them: where an input has the name of another component's output. Where several give it
/// (`object_features`), the one that ran last counts.
[[nodiscard]] std::vector<Connection> connections();

}  // namespace sam3trt
