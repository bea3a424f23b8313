#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sam3trt {

/// Which URLs a server fetches because requests ask for them.
struct FetchRules {
  /// "name" for the usual ports, or "name:port"; all others are refused.
  std::vector<std::string> hosts;
  size_t max_bytes = 0;
  long timeout_s = 30;  ///< For all of it.
};

/// Whether the rules name the URL's host.
[[nodiscard]] bool may_fetch(const FetchRules& rules, const std::string& url);

/// The bytes at an http or https URL. Redirects are followed to hosts of the rules only. `token` is
/// sent as "Authorization: Token ..", to the first host only; it may be empty. `where` is the URL's
/// place in the request. Throws HttpError that names it: 422 "not_allowed" for another host, 413
/// for more bytes, 422 "not_fetched" for all else that goes wrong.
[[nodiscard]] std::string fetch_image(const FetchRules& rules, const std::string& url,
                                      const std::string& token, const std::string& where);

}  // namespace sam3trt
