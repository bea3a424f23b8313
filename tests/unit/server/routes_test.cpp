#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

HttpResponse answer(const Routes& routes, const std::string& method, const std::string& path) {
  HttpRequest request;
  request.method = method;
  request.path = path;
  return routes.handle(request);
}

Handler says(const std::string& text) {
  return [text](const HttpRequest& request) {
    HttpResponse response;
    response.body = text;
    for (const std::string& capture : request.captures) response.body += " " + capture;
    return response;
  };
}

Handler throws(const std::exception_ptr& error) {
  return [error](const HttpRequest&) -> HttpResponse { std::rethrow_exception(error); };
}

TEST(Routes, CaptureSegmentsAndTheRestOfAPath) {
  Routes routes;
  routes.add("GET", "/", says("page"));
  routes.add("POST", "/v2/models/{name}/infer", says("infer"));
  routes.add("GET", "/assets/{file...}", says("file"));
  EXPECT_EQ(answer(routes, "GET", "/").body, "page");
  EXPECT_EQ(answer(routes, "HEAD", "/").body, "page");
  EXPECT_EQ(answer(routes, "POST", "/v2/models/sam3/infer").body, "infer sam3");
  EXPECT_EQ(answer(routes, "GET", "/assets/a/b.js").body, "file a/b.js");
  for (const char* path : {"/v2/models//infer", "/v2/models/a/b/infer", "/v2/models/sam3/infer/",
                           "/assets/", "//", "", "/healthz"}) {
    EXPECT_EQ(answer(routes, "POST", path).status, 404) << path;
  }
}

TEST(Routes, SayWhichMethodsThereAre) {
  Routes routes;
  routes.add("GET", "/a", says("a"));
  routes.add("POST", "/a", says("a"));
  const HttpResponse response = answer(routes, "PUT", "/a");
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.headers,
              ElementsAre(std::pair<std::string, std::string>("Allow", "GET, HEAD, POST")));
}

TEST(Routes, ErrorsAreJsonThatNamesThem) {
  Routes routes;
  routes.add(
      "GET", "/http",
      throws(std::make_exception_ptr(HttpError(503, "queue_full", "come later", "image", 2))));
  routes.add("GET", "/input", throws(std::make_exception_ptr(Error(ErrorCode::kBadInput, "box"))));
  routes.add("GET", "/missing",
             throws(std::make_exception_ptr(Error(ErrorCode::kUnavailable, "no GPU"))));
  routes.add("GET", "/secret", throws(std::make_exception_ptr(std::runtime_error("/etc/secret"))));
  const HttpResponse full = answer(routes, "GET", "/http");
  EXPECT_EQ(full.status, 503);
  const auto error = nlohmann::json::parse(full.body).at("error");
  EXPECT_EQ(error, (nlohmann::json{
                       {"code", "queue_full"}, {"message", "come later"}, {"field", "image"}}));
  EXPECT_THAT(full.headers, ElementsAre(std::pair<std::string, std::string>("Retry-After", "2")));
  EXPECT_EQ(answer(routes, "GET", "/input").status, 422);
  EXPECT_EQ(answer(routes, "GET", "/missing").status, 501);
  EXPECT_EQ(answer(routes, "GET", "/secret").status, 500);
  EXPECT_THAT(answer(routes, "GET", "/secret").body, testing::Not(HasSubstr("/etc")));
}

TEST(Routes, ErrorsHaveTheFormOfTheirRoute) {
  const ErrorForm form = [](HttpProblem& problem) {
    if (problem.status == 422) problem.status = 400;
    return "<" + problem.message + ">";
  };
  Routes routes;
  routes.add("GET", "/a", throws(std::make_exception_ptr(Error(ErrorCode::kBadInput, "box"))),
             {.errors = form});
  EXPECT_EQ(answer(routes, "GET", "/a").status, 400);
  EXPECT_EQ(answer(routes, "GET", "/a").body, "<box>");
  const HttpResponse refused = to_response({401, "unauthorized", "no token"}, form);
  EXPECT_EQ(refused.body, "<no token>");
  EXPECT_THAT(refused.headers,
              ElementsAre(std::pair<std::string, std::string>("WWW-Authenticate", "Bearer")));
}

TEST(Request, HeadersAreFoundWhateverTheirCase) {
  HttpRequest request;
  request.headers.emplace("content-TYPE", "Application/JSON; charset=utf-8");
  EXPECT_EQ(request.content_type(), "application/json");
  EXPECT_EQ(request.header("accept"), "");
}

}  // namespace
}  // namespace sam3trt
