#pragma once

#include <string>
#include <string_view>

namespace sam3trt {

/// The bytes of base64 (RFC 4648), with or without padding; white space is passed over. Throws
/// Error(kBadInput) for anything else.
[[nodiscard]] std::string decode_base64(std::string_view text);

}  // namespace sam3trt
