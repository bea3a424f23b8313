#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"

namespace sam3trt {

/// Parses `path`, weights in a data file excepted; throws Error(kBadInput) when it is no ONNX
/// model.
[[nodiscard]] onnx::ModelProto read_model(const std::filesystem::path& path);

/// The value under `key` of the model's metadata; empty when it has none.
[[nodiscard]] std::string metadata_value(const onnx::ModelProto& model, const std::string& key);

/// Adds `key`, or replaces its value.
void set_metadata_value(onnx::ModelProto& model, const std::string& key, const std::string& value);

/// Values of a float32 initialiser of the model in the file `model_path`, read from its data file
/// when they lie there. Throws Error(kBadInput), naming the tensor, when the type is another one,
/// the sizes do not fit, or the data file lies outside the model's folder.
[[nodiscard]] std::vector<float> read_f32(const onnx::TensorProto& tensor,
                                          const std::filesystem::path& model_path);

/// Names of the data files that tensors of the model in the file `model_path` name, wherever they
/// stand (initialisers, attributes, subgraphs, functions), sorted, each once. Throws
/// Error(kBadInput) for one that does not lie beside the model, and one error for all that are
/// missing.
[[nodiscard]] std::vector<std::string> data_files_of(const onnx::ModelProto& model,
                                                     const std::filesystem::path& model_path);

/// Writes a model tensor by tensor. With `external`, data of at least 1 KiB goes to `path`.data
/// (ONNX external data, 4 KiB aligned). Both files are written into `files` and appear with its
/// commit(): the old graph goes first and the new one comes last, so that at no time a graph lies
/// beside weights that its offsets do not fit.
class ModelWriter {
 public:
  ModelWriter(AtomicFiles& files, std::filesystem::path path, bool external);

  /// Stores the data of a tensor whose name, type and dimensions are set.
  void set_data(onnx::TensorProto* tensor, std::span<const std::byte> bytes);

  /// Writes the model that holds the tensors.
  void finish(const onnx::ModelProto& model);

 private:
  AtomicFiles& files_;
  std::filesystem::path path_;
  std::filesystem::path data_path_;
  AtomicFile* data_ = nullptr;  ///< One of `files_`.
};

}  // namespace sam3trt
