#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace sam3trt {

/// What a file given as a checkpoint is when it is neither a safetensors nor a torch zip file: the
/// clause that follows "FILE: ", with the way out ("is an ONNX graph, ..."). Empty for a file that
/// may be one of the two, damaged or not, and for one of which nothing is known.
[[nodiscard]] std::string describe_other_file(std::span<const std::byte> bytes,
                                              const std::filesystem::path& path);

/// The same for a folder without a checkpoint's files, told from the names in it.
[[nodiscard]] std::string describe_other_folder(const std::filesystem::path& folder);

}  // namespace sam3trt
