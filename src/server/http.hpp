#pragma once

#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sam3trt/error.hpp"

namespace sam3trt {

// Requests, responses and routes; knows no HTTP library and no model.

/// Orders names of headers, whose case does not count.
struct CaseInsensitive {
  [[nodiscard]] bool operator()(std::string_view a, std::string_view b) const;
};

/// A part of multipart/form-data.
struct HttpPart {
  std::string name;
  std::string filename;      ///< Empty where it is no file.
  std::string content_type;  ///< Empty where it does not say.
  std::string body;          ///< Empty where the part lies in `file`.
  std::string file{};  ///< Path of a temporary file, removed after the request; see RouteOptions.
};

struct HttpRequest {
  std::string method;
  std::string path;                   ///< Decoded, without the query.
  std::vector<std::string> captures;  ///< Of the route's pattern, in its order.
  std::multimap<std::string, std::string, CaseInsensitive> headers;
  std::multimap<std::string, std::string> query;
  std::string body;             ///< Empty for multipart/form-data.
  std::vector<HttpPart> parts;  ///< Of multipart/form-data, in their order.
  std::function<bool()> gone;   ///< The client has left; may be called from any thread.

  /// The first header of that name; empty where there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
  /// "application/json" of "Application/JSON; charset=utf-8".
  [[nodiscard]] std::string content_type() const;
  [[nodiscard]] bool is_gone() const { return gone && gone(); }
};

/// Takes a piece of a body; false when the client has left.
using Sink = std::function<bool(std::string_view)>;

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  /// In place of `body`: sent in chunks, the status before the first. An exception ends the
  /// connection, so that the client sees that something is missing.
  std::function<void(const Sink&)> stream;
};

using Handler = std::function<HttpResponse(const HttpRequest&)>;

/// A request that cannot be answered as asked: {"error": {"code", "message", "field"}}.
class HttpError : public Error {
 public:
  /// `code` is snake_case; `field` names the part of the request, or is empty; `retry_after` is in
  /// seconds.
  HttpError(int status, std::string code, const std::string& message, std::string field = {},
            std::optional<int> retry_after = std::nullopt);

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& field() const { return field_; }
  [[nodiscard]] const std::optional<int>& retry_after() const { return retry_after_; }

 private:
  int status_;
  std::string name_;
  std::string field_;
  std::optional<int> retry_after_;
};

/// What an exception tells a client, for routes with another form of errors.
struct HttpProblem {
  int status = 500;
  std::string code;
  std::string message;
  std::string field{};
  std::optional<int> retry_after{};
};

/// HttpError as it is; Error(kBadInput) is 422 "bad_input", kUnavailable 501 "not_available", all
/// else 500 "internal" without details.
[[nodiscard]] HttpProblem problem_of(const std::exception_ptr& error);

/// Makes the body of an error, and may change its status.
using ErrorForm = std::function<std::string(HttpProblem& problem)>;

/// The problem as a response, with Retry-After and WWW-Authenticate where it needs them; without a
/// form it is {"error": {"code", "message", "field"}}.
[[nodiscard]] HttpResponse to_response(HttpProblem problem, const ErrorForm& form = {});

/// Who may ask.
enum class Access {
  kOpen,   ///< Everyone: health, the page's files.
  kToken,  ///< Who has the token, where there is one.
};

struct RouteOptions {
  Access access = Access::kToken;
  /// Further places of the token, which are asked when the usual ones hold none (Authorization:
  /// Bearer, the password of Basic, `api_key` of the query): such as a field of the body, which is
  /// therefore read first.
  std::function<std::string(const HttpRequest&)> token{};
  /// Parts that are files are written to temporary files (HttpPart::file), with a limit of their
  /// own in place of that of bodies.
  bool files_on_disk = false;
  /// What the route's clients expect as an error, also as one that keeps them from the handler.
  ErrorForm errors{};
};

class Routes {
 public:
  /// What a method and path lead to.
  struct Match {
    const Handler* handler = nullptr;  ///< Null: `allowed` says which methods there are.
    const RouteOptions* options = nullptr;
    std::string pattern;  ///< Empty: there is no such route.
    std::vector<std::string> captures;
    std::string allowed;  ///< "GET, HEAD"
  };

  /// `pattern` "/v2/models/{name}/infer": {name} is one segment that is not empty; {name...} at the
  /// end is the rest of the path. Earlier routes go first. A route of GET answers HEAD, too.
  void add(std::string method, std::string pattern, Handler handler, RouteOptions options = {});

  [[nodiscard]] Match find(const std::string& method, const std::string& path) const;

  /// Answers the request: the handler's response, 404, 405 with Allow, or what problem_of() makes
  /// of an exception.
  [[nodiscard]] HttpResponse handle(HttpRequest& request) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    Handler handler;
    RouteOptions options;
  };

  std::vector<Route> routes_;
};

}  // namespace sam3trt
