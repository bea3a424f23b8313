#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/error.hpp"

namespace sam3trt {

/// The connection failed or broke off; the same request may work when it is made again.
class ConnectionError : public Error {
 public:
  explicit ConnectionError(const std::string& message) : Error(ErrorCode::kInternal, message) {}
};

/// Status and headers of a response; header names in lower case.
struct HubResponse {
  long status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  std::string url;  ///< That answered, after redirects.

  /// Value of a header, or "".
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// Takes the body of a response as it arrives; both may throw, which ends the transfer.
struct BodySink {
  std::function<void(const HubResponse&)> start;  ///< Once, before the first byte.
  std::function<void(std::span<const std::byte>)> data;
};

/// HTTP requests to one server and to where it redirects. The token goes to that server only (also
/// over TLS where it redirects from http to https): a redirect to another scheme, host or port is
/// followed without it. Not thread safe.
class HttpClient {
 public:
  /// `endpoint` is "http(s)://host[:port]"; throws Error(kBadInput) when it is not. `token` may be
  /// empty. A transfer that brings nothing for `stall_timeout_s` seconds fails.
  HttpClient(const std::string& endpoint, std::string token, long stall_timeout_s);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The whole body in memory; throws Error(kInternal) when it is larger than `limit` bytes. Throws
  /// ConnectionError like the others.
  [[nodiscard]] HubResponse get(const std::string& url, size_t limit);

  /// Headers only. Redirects are followed, as from one address of the hub to another, except for
  /// the one to the storage of a large file, which is told by the headers about that file
  /// (X-Linked-Size, X-Linked-Etag): it is the answer.
  [[nodiscard]] HubResponse head(const std::string& url);

  /// Gives the body from byte `from` on to `sink` when the status is 200 or 206; the caller looks
  /// which of them it is, in `start`.
  [[nodiscard]] HubResponse stream(const std::string& url, uint64_t from, const BodySink& sink);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Scheme, host and, where it is not the usual one, port: "https://host". Empty when the URL is
/// neither http nor https.
[[nodiscard]] std::string server_of(const std::string& url);

/// Whether a token for the server of `from` is sent to the server of `to`.
[[nodiscard]] bool keeps_token(const std::string& from, const std::string& to);

/// `text` with everything but letters, digits and "-._~" written as %XX.
[[nodiscard]] std::string percent_encoded(const std::string& text);

}  // namespace sam3trt
