#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "sam3trt/session.hpp"

namespace sam3trt {

/// A model of its own and one session: finds in images what prompts ask for, on the GPU with
/// TensorRT engines, on the CPU with ONNX graphs. Load it once and call it many times. One call at
/// a time per object, from any thread; several objects work side by side.
class Segmenter {
 public:
  /// The model in a folder of engines or graphs, or found otherwise (find_model_files). Throws
  /// Error(kBadInput) for engines that do not fit this machine or were not verified, and
  /// Error(kUnavailable) when a GPU, its driver or TensorRT is missing.
  explicit Segmenter(const std::filesystem::path& folder, const LoadOptions& options = {});
  explicit Segmenter(const ModelFiles& files, const LoadOptions& options = {});

  /// One result per request, in their order (runtime/result.hpp); `path` and `timings_ms.decode`
  /// are left to the caller. An image's features are computed once for all its prompts, and texts
  /// that were seen before are not encoded again. An image for which an engine gives non-finite
  /// numbers has an `error` and no prompts. Throws Error(kBadInput), before anything runs, for an
  /// image that is not as large as it says, a prompt that asks for nothing, a box outside its image
  /// or more boxes than the engines take. After an exception the object is as before the call.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const Thresholds& thresholds = {});

  /// The same for one image.
  [[nodiscard]] ImageResult run(const Image& image, std::span<const Prompt> prompts,
                                const Thresholds& thresholds = {});

  /// For a caller that knows all its texts: encodes those of these prompts and frees the text
  /// encoder, which is a quarter of the memory that a GPU needs. Other texts are then
  /// Error(kBadInput). Returns whether it did: not on the CPU, nor for more texts than are kept
  /// (512); then any text can be asked for as before.
  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts);

  /// Images that go through the model together; more in one call are worked off in turn.
  [[nodiscard]] size_t max_images() const;

  /// "tensorrt" or "openvino".
  [[nodiscard]] const std::string& backend() const;
  [[nodiscard]] Semantics semantics() const;

  /// False when an engine runs only because LoadOptions allow it.
  [[nodiscard]] bool verified() const;

  /// GPU memory that is in use, by anyone, in bytes; 0 on the CPU.
  [[nodiscard]] uint64_t device_memory() const;

 private:
  Model model_;
  Session session_;
};

}  // namespace sam3trt
