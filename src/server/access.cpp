#include "server/access.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <span>

#include "base/error.hpp"
#include "base/lower.hpp"
#include "base/sha256.hpp"
#include "server/base64.hpp"

namespace sam3trt {
namespace {

/// The credentials of Authorization under a scheme; empty where it is another one.
std::string credentials(const std::string& header, const std::string& scheme) {
  const size_t space = header.find(' ');
  if (space == std::string::npos || lower(header.substr(0, space)) != scheme) return {};
  const size_t begin = header.find_first_not_of(' ', space);
  return begin == std::string::npos ? std::string() : header.substr(begin);
}

std::string basic_password(const std::string& header) {
  try {
    const std::string pair = decode_base64(credentials(header, "basic"));
    const size_t colon = pair.find(':');
    return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
  } catch (const Error&) {
    return {};
  }
}

/// "host" of "host:80" and of "[::1]:80".
std::string without_port(const std::string& host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

bool names_loopback(const std::string& host) {
  const std::string name = lower(without_port(host));
  const bool is_address =
      name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string::npos;
  return is_address || name == "localhost" || name == "[::1]";
}

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  const std::string first = sha256_hex(std::as_bytes(std::span(a)));
  const std::string second = sha256_hex(std::as_bytes(std::span(b)));
  return CRYPTO_memcmp(first.data(), second.data(), first.size()) == 0;
}

bool brings_token(const HttpRequest& request, const std::string& token) {
  if (token.empty()) return true;
  const std::string header = request.header("Authorization");
  bool found = equal_in_constant_time(credentials(header, "bearer"), token);
  found = equal_in_constant_time(basic_password(header), token) || found;
  const auto [first, last] = request.query.equal_range("api_key");
  for (auto entry = first; entry != last; ++entry) {
    found = equal_in_constant_time(entry->second, token) || found;
  }
  return found;
}

void check_origin(const HttpRequest& request, const AccessRules& rules) {
  const std::string host = request.header("Host");
  if (rules.only_loopback && rules.token.empty() && !host.empty() && !names_loopback(host)) {
    throw HttpError(403, "unknown_host",
                    "the request is for another host than this machine's loopback names; start "
                    "the server with --token-file to serve it under other names");
  }
  const std::string origin = request.header("Origin");
  if (origin.empty()) return;
  const size_t scheme = origin.find("://");
  const std::string from = scheme == std::string::npos ? origin : origin.substr(scheme + 3);
  if (from == host || from == request.header("X-Forwarded-Host")) return;
  throw HttpError(403, "cross_origin", "the request comes from a page of another origin");
}

HttpError token_is_missing() {
  return {401, "unauthorized",
          "the token is missing or wrong: send it as 'Authorization: Bearer TOKEN' or as api_key"};
}

}  // namespace sam3trt
