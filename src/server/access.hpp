#pragma once

#include <string>
#include <string_view>

#include "server/http.hpp"

namespace sam3trt {

/// Who may ask a server what.
struct AccessRules {
  std::string token;           ///< Empty: everyone may ask everything.
  bool only_loopback = false;  ///< Requests must name this machine as their host: others come from
                               ///< pages whose name was made to point here.
};

/// Whether the texts are equal, in a time that does not tell where they differ.
[[nodiscard]] bool equal_in_constant_time(std::string_view a, std::string_view b);

/// The tokens that a request brings, before its body is read, has the right one: Authorization:
/// Bearer, the password of Basic, `api_key` of the query.
[[nodiscard]] bool brings_token(const HttpRequest& request, const std::string& token);

/// Throws HttpError(403) for a request that a page of another origin makes in someone's browser.
void check_origin(const HttpRequest& request, const AccessRules& rules);

/// 401, of a request without the token.
[[nodiscard]] HttpError token_is_missing();

}  // namespace sam3trt
