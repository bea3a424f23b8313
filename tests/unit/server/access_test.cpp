#include "server/access.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base64.hpp"

namespace sam3trt {
namespace {

HttpRequest with_header(const std::string& name, const std::string& value) {
  HttpRequest request;
  request.headers.emplace(name, value);
  return request;
}

int origin_status(const HttpRequest& request, const AccessRules& rules) {
  try {
    check_origin(request, rules);
  } catch (const HttpError& error) {
    return error.status();
  }
  return 0;
}

TEST(Base64, DecodesWithAndWithoutPadding) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("YQ=="), "a");
  EXPECT_EQ(decode_base64("YWI"), "ab");
  EXPECT_EQ(decode_base64("YW\r\nJj"), "abc");
  EXPECT_EQ(decode_base64("/+8A"), std::string("\xFF\xEF\0", 3));
}

TEST(Base64, RefusesEverythingElse) {
  for (const char* text : {"Y", "YQ=", "YQ===", "Y=Q=", "YWJj=", "a-b_", "YQ==YQ==", "\xFF"}) {
    EXPECT_THROW(static_cast<void>(decode_base64(text)), Error) << text;
  }
}

TEST(Access, TakesTheTokenWhereClientsPutIt) {
  EXPECT_TRUE(brings_token({}, ""));
  EXPECT_FALSE(brings_token({}, "key"));
  EXPECT_TRUE(brings_token(with_header("authorization", "Bearer key"), "key"));
  EXPECT_TRUE(brings_token(with_header("Authorization", "bearer  key"), "key"));
  EXPECT_TRUE(brings_token(with_header("Authorization", "Basic dXNlcjprZXk="), "key"));
  for (const char* wrong :
       {"Bearer ke", "Bearer keyy", "key", "Basic key", "Basic a2V5", "Bearer "}) {
    EXPECT_FALSE(brings_token(with_header("Authorization", wrong), "key")) << wrong;
  }
  HttpRequest request;
  request.query.emplace("api_key", "key");
  EXPECT_TRUE(brings_token(request, "key"));
}

TEST(Access, RefusesPagesOfOtherOrigins) {
  HttpRequest request = with_header("Host", "127.0.0.1:8080");
  EXPECT_EQ(origin_status(request, {}), 0);
  request.headers.emplace("Origin", "http://127.0.0.1:8080");
  EXPECT_EQ(origin_status(request, {}), 0);
  HttpRequest other = with_header("Host", "127.0.0.1:8080");
  other.headers.emplace("Origin", "http://127.0.0.1:9090");
  EXPECT_EQ(origin_status(other, {}), 403);
  HttpRequest behind_proxy = with_header("Host", "127.0.0.1:8080");
  behind_proxy.headers.emplace("Origin", "https://masks.example");
  EXPECT_EQ(origin_status(behind_proxy, {}), 403);
  behind_proxy.headers.emplace("X-Forwarded-Host", "masks.example");
  EXPECT_EQ(origin_status(behind_proxy, {}), 0);
  EXPECT_EQ(origin_status(with_header("Origin", "null"), {}), 403);
}

TEST(Access, OnLoopbackWithoutATokenOnlyLoopbackNamesAreServed) {
  const AccessRules rules{"", true};
  for (const char* host :
       {"localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:80"}) {
    EXPECT_EQ(origin_status(with_header("Host", host), rules), 0) << host;
  }
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::2]"}) {
    EXPECT_EQ(origin_status(with_header("Host", host), rules), 403) << host;
    EXPECT_EQ(origin_status(with_header("Host", host), {"token", true}), 0) << host;
  }
}

}  // namespace
}  // namespace sam3trt
