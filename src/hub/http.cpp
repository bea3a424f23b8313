#include "hub/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

#include "sam3trt/version.hpp"

namespace sam3trt {
namespace {

constexpr int kMostRedirects = 8;
constexpr size_t kLargestHeaderBytes = size_t{256} * 1024;
constexpr long kConnectTimeoutS = 30;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlDeleter>;

std::optional<std::string> url_part(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return std::nullopt;
  std::string result = text;
  curl_free(text);
  return result;
}

/// Scheme, host and port of a URL.
struct Origin {
  std::string scheme;
  std::string host;
  std::string port;

  friend bool operator==(const Origin&, const Origin&) = default;
};

/// Nothing when the URL is not http or https.
std::optional<Origin> origin_of(const std::string& text) {
  const UrlHandle url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
  const auto scheme = url_part(url.get(), CURLUPART_SCHEME, 0);
  auto host = url_part(url.get(), CURLUPART_HOST, 0);
  const auto port = url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (!scheme || !host || !port || (*scheme != "http" && *scheme != "https")) return std::nullopt;
  std::transform(host->begin(), host->end(), host->begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return Origin{*scheme, *host, *port};
}

/// Whether what may be sent to `from` may be sent to `to`: the same server, or the same host asked
/// over TLS instead (ports 80 and 443), as HTTP libraries decide about the Authorization header.
bool may_have_token(const Origin& from, const Origin& to) {
  if (from == to) return true;
  return from.host == to.host && from.scheme == "http" && from.port == "80" &&
         to.scheme == "https" && to.port == "443";
}

/// Where `location`, absolute or relative to `base`, points.
std::string resolved(const std::string& base, const std::string& location) {
  const UrlHandle url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    throw Error(ErrorCode::kInternal,
                base + ": the server redirects to something that is not a URL");
  }
  return url_part(url.get(), CURLUPART_URL, 0).value_or("");
}

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Whether a redirect says what the file is that it leads to.
bool is_storage(const HubResponse& response) {
  return !response.header("x-linked-size").empty() || !response.header("x-linked-etag").empty();
}

/// One request on its way: what has arrived, and what went wrong in a callback.
struct Transfer {
  CURL* handle = nullptr;
  const BodySink* sink = nullptr;
  HubResponse response;
  size_t header_bytes = 0;
  bool started = false;
  std::exception_ptr failure;
};

void add_header(std::string_view line, HubResponse& response) {
  if (line.starts_with("HTTP/")) {
    response.headers.clear();
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const std::string_view rest = line.substr(colon + 1);
  const size_t first = rest.find_first_not_of(" \t\r\n");
  const size_t last = rest.find_last_not_of(" \t\r\n");
  response.headers[name] =
      first == std::string_view::npos ? "" : std::string(rest.substr(first, last - first + 1));
}

// Both callbacks are called by C code, through which no exception may pass: it is kept and thrown
// again when libcurl has returned.

size_t take_header(const char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  transfer.header_bytes += bytes;
  if (transfer.header_bytes > kLargestHeaderBytes) return 0;
  try {
    add_header({data, bytes}, transfer.response);
  } catch (...) {
    transfer.failure = std::current_exception();
    return 0;
  }
  return bytes;
}

size_t take_body(const char* data, size_t size, size_t count, void* user) noexcept {
  auto& transfer = *static_cast<Transfer*>(user);
  const size_t bytes = size * count;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &transfer.response.status);
  const bool wanted = transfer.response.status == 200 || transfer.response.status == 206;
  if (transfer.sink == nullptr || !wanted) return bytes;
  try {
    if (!std::exchange(transfer.started, true)) transfer.sink->start(transfer.response);
    transfer.sink->data(std::as_bytes(std::span(data, bytes)));
  } catch (...) {
    transfer.failure = std::current_exception();
    return 0;
  }
  return bytes;
}

}  // namespace

std::string HubResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::State {
  CURL* handle = nullptr;
  Origin origin;
  std::string token;
  long stall_timeout_s = 0;

  /// One request without following redirects.
  HubResponse request(const std::string& url, bool head_only, uint64_t from, const BodySink* sink);

  /// The same, following redirects.
  HubResponse follow(std::string url, bool head_only, uint64_t from, const BodySink* sink);
};

HubResponse HttpClient::State::request(const std::string& url, bool head_only, uint64_t from,
                                       const BodySink* sink) {
  Transfer transfer;
  transfer.handle = handle;
  transfer.sink = sink;
  curl_easy_reset(handle);
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "sam3trt/" SAM3TRT_VERSION);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectTimeoutS);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, stall_timeout_s);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  if (head_only) curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (from > 0) {
    curl_easy_setopt(handle, CURLOPT_RANGE, (std::to_string(from) + "-").c_str());
  }
  // Without this header some servers compress, and sizes and hashes would be those of the archive.
  curl_slist* headers = curl_slist_append(nullptr, "Accept-Encoding: identity");
  const auto target = origin_of(url);
  if (!token.empty() && target && may_have_token(origin, *target)) {
    headers = curl_slist_append(headers, ("Authorization: Bearer " + token).c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  const CURLcode code = curl_easy_perform(handle);
  curl_slist_free_all(headers);
  if (transfer.failure) std::rethrow_exception(transfer.failure);
  if (code != CURLE_OK) throw ConnectionError(url + ": " + curl_easy_strerror(code));
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &transfer.response.status);
  return std::move(transfer.response);
}

HubResponse HttpClient::State::follow(std::string url, bool head_only, uint64_t from,
                                      const BodySink* sink) {
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    HubResponse response = request(url, head_only, from, sink);
    response.url = url;
    const std::string location = response.header("location");
    if (!is_redirect(response.status) || location.empty()) return response;
    std::string next = resolved(url, location);
    const auto next_origin = origin_of(next);
    if (!next_origin) {
      throw Error(ErrorCode::kInternal, url +
                                            ": the server redirects to something that is "
                                            "neither http nor https");
    }
    // What the hub says about a stored file comes with the redirect to the storage; any other
    // redirect, such as that of one address of the hub to another, only says where to ask.
    if (head_only && is_storage(response)) return response;
    url = std::move(next);
  }
  throw Error(ErrorCode::kInternal,
              url + ": more than " + std::to_string(kMostRedirects) + " redirects");
}

HttpClient::HttpClient(const std::string& endpoint, std::string token, long stall_timeout_s)
    : state_(std::make_unique<State>()) {
  const auto origin = origin_of(endpoint);
  if (!origin) {
    throw_bad_input("endpoint '" + endpoint + "': expected http:// or https:// and a host name");
  }
  state_->origin = *origin;
  state_->token = std::move(token);
  state_->stall_timeout_s = stall_timeout_s;
  state_->handle = curl_easy_init();
  if (state_->handle == nullptr) throw Error(ErrorCode::kInternal, "libcurl cannot be started");
}

HttpClient::~HttpClient() { curl_easy_cleanup(state_->handle); }

HubResponse HttpClient::get(const std::string& url, size_t limit) {
  std::string body;
  const BodySink sink{[](const HubResponse&) {},
                      [&](std::span<const std::byte> bytes) {
                        if (body.size() + bytes.size() > limit) {
                          throw Error(ErrorCode::kInternal, url + ": the answer is larger than " +
                                                                std::to_string(limit) + " bytes");
                        }
                        body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                      }};
  HubResponse response = state_->follow(url, false, 0, &sink);
  response.body = std::move(body);
  return response;
}

HubResponse HttpClient::head(const std::string& url) {
  return state_->follow(url, true, 0, nullptr);
}

HubResponse HttpClient::stream(const std::string& url, uint64_t from, const BodySink& sink) {
  return state_->follow(url, false, from, &sink);
}

std::string server_of(const std::string& url) {
  const auto origin = origin_of(url);
  if (!origin) return "";
  const bool usual = origin->port == (origin->scheme == "https" ? "443" : "80");
  return origin->scheme + "://" + origin->host + (usual ? "" : ":" + origin->port);
}

bool keeps_token(const std::string& from, const std::string& to) {
  const auto first = origin_of(from);
  const auto second = origin_of(to);
  return first && second && may_have_token(*first, *second);
}

std::string percent_encoded(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result += '%';
    result += kDigits[byte >> 4U];
    result += kDigits[byte & 15U];
  }
  return result;
}

}  // namespace sam3trt
