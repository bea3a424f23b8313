#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sam3trt {

/// How a file is fetched.
struct FetchOptions {
  size_t largest_bytes = size_t{64} << 20;
  long stall_timeout_s = 60;  ///< A transfer that brings nothing for so long is cut.
  int attempts = 3;           ///< After a lost connection; at least 1.
};

/// The whole file at an http or https URL, in memory; no token is sent. Throws Error(kBadInput) for
/// a URL that is none and Error(kInternal) for an answer other than 200, a file that is larger, or
/// a connection that fails at every attempt.
[[nodiscard]] std::vector<std::byte> fetch_file(const std::string& url,
                                                const FetchOptions& options = {});

}  // namespace sam3trt
