#include "server/http.hpp"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.hpp"
#include "base/lower.hpp"

namespace sam3trt {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> segments;
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

bool is_capture(const std::string& segment) { return segment.starts_with('{'); }
bool takes_rest(const std::string& segment) { return segment.ends_with("...}"); }

bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& path,
          std::vector<std::string>& captures) {
  captures.clear();
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (i >= path.size()) return false;
    if (!is_capture(pattern[i])) {
      if (pattern[i] != path[i]) return false;
      continue;
    }
    if (takes_rest(pattern[i])) {
      std::string rest = path[i];
      for (size_t j = i + 1; j < path.size(); ++j) rest += "/" + path[j];
      if (rest.empty()) return false;
      captures.push_back(std::move(rest));
      return true;
    }
    if (path[i].empty()) return false;
    captures.push_back(path[i]);
  }
  return pattern.size() == path.size();
}

HttpProblem describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const HttpError& problem) {
    return {problem.status(), problem.name(), problem.what(), problem.field(),
            problem.retry_after()};
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::kBadInput) return {422, "bad_input", problem.what()};
    if (problem.code() == ErrorCode::kUnavailable) return {501, "not_available", problem.what()};
    log(LogLevel::kWarning, std::string("a request failed: ") + problem.what());
  } catch (const std::exception& problem) {
    log(LogLevel::kWarning, std::string("a request failed: ") + problem.what());
  } catch (...) {
    log(LogLevel::kWarning, "a request failed");
  }
  return {500, "internal", "the server failed; its log says why"};
}

std::string body_of(const HttpProblem& problem) {
  using Json = nlohmann::ordered_json;
  Json error = {{"code", problem.code}, {"message", problem.message}};
  if (!problem.field.empty()) error["field"] = problem.field;
  return Json{{"error", std::move(error)}}.dump(-1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

}  // namespace

bool CaseInsensitive::operator()(std::string_view a, std::string_view b) const {
  return std::ranges::lexicographical_compare(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) < std::tolower(y); });
}

std::string HttpRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string HttpRequest::content_type() const {
  std::string type = header("Content-Type");
  type.erase(std::min(type.find(';'), type.size()));
  while (!type.empty() && std::isspace(static_cast<unsigned char>(type.back())) != 0) {
    type.pop_back();
  }
  return lower(std::move(type));
}

HttpError::HttpError(int status, std::string code, const std::string& message, std::string field,
                     std::optional<int> retry_after)
    : Error(status == 500 ? ErrorCode::kInternal : ErrorCode::kBadInput, message),
      status_(status),
      name_(std::move(code)),
      field_(std::move(field)),
      retry_after_(retry_after) {}

HttpProblem problem_of(const std::exception_ptr& error) { return describe(error); }

HttpResponse to_response(HttpProblem problem, const ErrorForm& form) {
  HttpResponse response;
  response.body = form ? form(problem) : body_of(problem);
  response.status = problem.status;
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (problem.retry_after) {
    response.headers.emplace_back("Retry-After", std::to_string(*problem.retry_after));
  }
  return response;
}

void Routes::add(std::string method, std::string pattern, Handler handler, RouteOptions options) {
  std::vector<std::string> segments = split(pattern);
  routes_.push_back({std::move(method), std::move(pattern), std::move(segments), std::move(handler),
                     std::move(options)});
}

Routes::Match Routes::find(const std::string& method, const std::string& path) const {
  const std::vector<std::string> segments = split(path);
  Match match;
  std::set<std::string> methods;
  std::vector<std::string> captures;
  for (const Route& route : routes_) {
    if (!fits(route.segments, segments, captures)) continue;
    if (match.pattern.empty()) match.pattern = route.pattern;
    const bool answers = route.method == method || (route.method == "GET" && method == "HEAD");
    if (answers) {
      match = {&route.handler, &route.options, route.pattern, captures, {}};
      return match;
    }
    methods.insert(route.method);
    if (route.method == "GET") methods.insert("HEAD");
  }
  for (const std::string& name : methods) {
    match.allowed += (match.allowed.empty() ? "" : ", ") + name;
  }
  return match;
}

HttpResponse Routes::handle(HttpRequest& request) const {
  Match match = find(request.method, request.path);
  if (match.pattern.empty()) {
    return to_response({404, "not_found", "there is no " + request.path + " here"});
  }
  if (match.handler == nullptr) {
    HttpResponse response = to_response(
        {405, "method_not_allowed", request.path + " answers " + match.allowed + " only"});
    response.headers.emplace_back("Allow", match.allowed);
    return response;
  }
  request.captures = std::move(match.captures);
  try {
    return (*match.handler)(request);
  } catch (...) {
    return to_response(problem_of(std::current_exception()), match.options->errors);
  }
}

}  // namespace sam3trt
