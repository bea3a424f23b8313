#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/embedded_file.hpp"
#include "runtime/model_files.hpp"

namespace sam3trt {

/// What runs the models in Triton: its Python backend over the package sam3trt, or the backend
/// "sam3trt" of serving/triton/backend.
enum class TritonBackend { kPython, kSam3trt };

/// A model repository for Triton Inference Server, as it is asked for.
struct TritonRepository {
  std::filesystem::path output;   ///< Its folder; other models may be in it already.
  std::string model_folder;       ///< Where servers find the model of `write_triton_repository`.
  bool allow_unverified = false;  ///< Servers load engines that are not verified, too.
  TritonBackend backend = TritonBackend::kPython;
};

/// Writes the model `sam3`, and `sam3_video` where the model tracks: a configuration each and, for
/// the Python backend, what answers requests, which is removed for the other one. Each file says in
/// its first line by whom it was written and what it then was. Returns the paths. Throws
/// Error(kBadInput) when one is there already that was not written by this function or has been
/// changed since, when `sam3_video` is there and the model does not track, or when the folder
/// cannot be written; then nothing has been changed.
std::vector<std::filesystem::path> write_triton_repository(const ModelFiles& files,
                                                           const TritonRepository& repository);

/// The files of serving/triton at build time that a repository is made of.
[[nodiscard]] std::span<const EmbeddedFile> builtin_triton_files();

}  // namespace sam3trt
