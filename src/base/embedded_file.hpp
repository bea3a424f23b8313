#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace sam3trt {

/// A file inside the program.
struct EmbeddedFile {
  std::string_view name;
  std::span<const std::byte> bytes;
};

}  // namespace sam3trt
