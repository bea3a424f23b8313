#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sam3trt {

/// Whether the bytes begin as a gzip file does.
[[nodiscard]] bool is_gzip(std::string_view bytes);

/// Unpacks a gzip file, all its members; their checksums are checked. Throws Error(kBadInput), with
/// `name` in the message, for damaged files and for more than `most_bytes` of contents.
[[nodiscard]] std::string unpack_gzip(std::string_view bytes, size_t most_bytes,
                                      const std::string& name);

}  // namespace sam3trt
