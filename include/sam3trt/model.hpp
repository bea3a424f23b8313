#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "sam3trt/export.hpp"
#include "sam3trt/semantics.hpp"

namespace sam3trt {

struct ModelFiles;
class SharedModel;

/// How a model is loaded.
struct LoadOptions {
  int device = 0;                 ///< Ordinal of the GPU that engines run on.
  int threads = 0;                ///< Of the CPU backend; 0: its choice.
  bool allow_unverified = false;  ///< Engines whose verification failed or is missing.
};

/// The weights of a model on one device, its tokenizer and configuration: TensorRT engines on a
/// GPU, or ONNX graphs on the CPU. Loaded once and shared by any number of sessions and threads; a
/// copy is the same model. It lives as long as the last copy, session or features of it.
class SAM3TRT_API Model {
 public:
  /// The model in a folder of engines or graphs. Throws Error(kBadInput) when one is missing, is
  /// not what its manifest says, was built for another machine or was not verified, and
  /// Error(kUnavailable) when the GPU, its driver or TensorRT is missing.
  explicit Model(const std::filesystem::path& folder, const LoadOptions& options = {});
  explicit Model(const ModelFiles& files, const LoadOptions& options = {});
  explicit Model(std::shared_ptr<const SharedModel> loaded) : loaded_(std::move(loaded)) {}

  /// "tensorrt" or "openvino".
  [[nodiscard]] const std::string& backend() const;
  [[nodiscard]] Semantics semantics() const;

  /// False when an engine runs only because LoadOptions allow it.
  [[nodiscard]] bool verified() const;

  /// Images that go through the model together; more in one call are worked off in turn.
  [[nodiscard]] size_t max_images() const;

  /// Boxes that one prompt may have.
  [[nodiscard]] size_t max_boxes() const;

  /// Memory of the GPU that is in use, by anyone, in bytes; 0 on the CPU.
  [[nodiscard]] uint64_t device_memory() const;

  /// Sessions made from now on cannot encode texts; the weights are freed when no session needs
  /// them any more (Session::keep_only_texts). For callers whose sessions know all their texts.
  void free_text_encoder() const;

  [[nodiscard]] const std::shared_ptr<const SharedModel>& loaded() const { return loaded_; }

 private:
  std::shared_ptr<const SharedModel> loaded_;
};

}  // namespace sam3trt
