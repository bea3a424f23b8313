#include "server/image_fetch.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/lower.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

constexpr int kMaxRedirects = 3;

struct CurlText {
  ~CurlText() { curl_free(text); }
  char* text = nullptr;
};

/// "host" or, for another port than the scheme's usual one, "host:port", in lower case. None for
/// what is not http or https, or holds a name and password.
std::optional<std::string> host_of(const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return std::nullopt;
  }
  CurlText scheme;
  CurlText host;
  CurlText port;
  CurlText user;
  if (curl_url_get(parsed.get(), CURLUPART_SCHEME, &scheme.text, 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_HOST, &host.text, 0) != CURLUE_OK ||
      curl_url_get(parsed.get(), CURLUPART_USER, &user.text, 0) == CURLUE_OK) {
    return std::nullopt;
  }
  const std::string kind = lower(scheme.text);
  if (kind != "http" && kind != "https") return std::nullopt;
  std::string name = lower(host.text);
  if (curl_url_get(parsed.get(), CURLUPART_PORT, &port.text, CURLU_NO_DEFAULT_PORT) == CURLUE_OK) {
    name += std::string(":") + port.text;
  }
  return name;
}

struct Fetched {
  long status = 0;
  std::string body;
  std::string redirect;
  bool too_large = false;
  std::string failure;
};

struct Target {
  std::string* body;
  size_t limit;
  bool too_large = false;
};

size_t take(char* data, size_t size, size_t count, void* user) {
  auto* target = static_cast<Target*>(user);
  const size_t bytes = size * count;
  if (bytes > target->limit - target->body->size()) {
    target->too_large = true;
    return CURL_WRITEFUNC_ERROR;
  }
  target->body->append(data, bytes);
  return bytes;
}

Fetched fetch_once(const FetchRules& rules, const std::string& url, const std::string& token) {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(),
                                                                   &curl_easy_cleanup);
  if (kStarted != CURLE_OK || handle == nullptr) {
    throw Error(ErrorCode::kInternal, "libcurl cannot start");
  }
  CURL* curl = handle.get();
  Fetched fetched;
  Target target{&fetched.body, rules.max_bytes};
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, std::min(rules.timeout_s, 10L));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, rules.timeout_s);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "sam3trt");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &target);
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(nullptr,
                                                                      &curl_slist_free_all);
  if (!token.empty()) {
    headers.reset(curl_slist_append(nullptr, ("Authorization: Token " + token).c_str()));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  }
  const CURLcode code = curl_easy_perform(curl);
  fetched.too_large = target.too_large;
  if (code != CURLE_OK) fetched.failure = curl_easy_strerror(code);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &fetched.status);
  const char* redirect = nullptr;
  curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) fetched.redirect = redirect;
  return fetched;
}

}  // namespace

bool may_fetch(const FetchRules& rules, const std::string& url) {
  const auto host = host_of(url);
  return host && std::ranges::any_of(rules.hosts, [&](const std::string& allowed) {
           return lower(allowed) == *host;
         });
}

std::string fetch_image(const FetchRules& rules, const std::string& url, const std::string& token,
                        const std::string& where) {
  const auto host = host_of(url);
  if (!host) {
    throw HttpError(422, "bad_field", where + ": expected an http or https URL", where);
  }
  std::string next = url;
  for (int i = 0; i <= kMaxRedirects; ++i) {
    if (!may_fetch(rules, next)) {
      const std::string other = host_of(next).value_or("its target");
      throw HttpError(422, "not_allowed",
                      where + ": this server fetches nothing from " + other +
                          "; send the image itself, or start the server with --allow-host " + other,
                      where);
    }
    const Fetched fetched = fetch_once(rules, next, host_of(next) == host ? token : "");
    if (fetched.too_large) {
      throw HttpError(
          413, "image_too_large",
          where + ": the file is larger than " + std::to_string(rules.max_bytes >> 20U) + " MiB",
          where);
    }
    if (!fetched.failure.empty()) {
      throw HttpError(422, "not_fetched",
                      where + ": " + *host + " cannot be asked: " + fetched.failure, where);
    }
    if (fetched.status == 200) return fetched.body;
    if (fetched.redirect.empty()) {
      throw HttpError(
          422, "not_fetched",
          where + ": " + *host + " answers with status " + std::to_string(fetched.status), where);
    }
    next = fetched.redirect;
  }
  throw HttpError(422, "not_fetched", where + ": " + *host + " redirects too often", where);
}

}  // namespace sam3trt
