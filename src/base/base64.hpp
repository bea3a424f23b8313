#pragma once

#include <string>
#include <string_view>

namespace sam3trt {

/// The bytes of a base64 text (RFC 4648, with padding; white space is skipped), or of a data: URL
/// whose content is base64. `where` begins the message of Error(kBadInput) for anything else.
[[nodiscard]] std::string decode_base64(std::string_view text, const std::string& where);

}  // namespace sam3trt
