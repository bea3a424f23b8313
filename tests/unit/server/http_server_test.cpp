#include "server/http_server.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::chrono::milliseconds kPatience{300};

/// A server with little patience.
class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    routes_.add("POST", "/size", [](const HttpRequest& request) {
      HttpResponse response;
      response.body = std::to_string(request.body.size());
      return response;
    });
    routes_.add("POST", "/own",
                [](const HttpRequest&) -> HttpResponse { throw HttpError(422, "x", "wrong"); },
                {.errors = [](HttpProblem& problem) { return "<" + problem.message + ">"; }});
    HttpServerOptions options;
    options.port = 0;
    options.max_body_bytes = 1000;
    options.times = {.idle = kPatience, .head = kPatience, .pause = kPatience, .body = kPatience};
    routes_.add("POST", "/long", [](const HttpRequest&) {
      HttpResponse response;
      response.body = std::string(300'000, 'x');
      return response;
    });
    routes_.add("GET", "/broken", [](const HttpRequest&) {
      HttpResponse response;
      response.stream = [](const std::function<bool(std::string_view)>& send) {
        static_cast<void>(send("begun"));
        throw 1;  // no std::exception
      };
      return response;
    });
    routes_.add("GET", "/size", [](const HttpRequest&) {
      HttpResponse response;
      response.body = "some bytes";
      return response;
    });
    server_ = std::make_unique<HttpServer>(routes_, options);
    thread_ = std::thread([this] { server_->run(); });
  }
  ~HttpServerTest() override {
    server_->stop();
    thread_.join();
  }

  /// Packets with data that came with the last answer.
  [[nodiscard]] uint32_t packets() const { return packets_; }

  /// All that comes back for these bytes, after which nothing is sent.
  [[nodiscard]] std::string answer(const std::string& bytes) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::recv(client, piece.data(), piece.size(), 0)) > 0;) {
      text.append(piece.data(), static_cast<size_t>(got));
    }
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(::getsockopt(client, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    packets_ = info.tcpi_data_segs_in;
    ::close(client);
    return text;
  }

 private:
  Routes routes_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
  uint32_t packets_ = 0;
};

const std::string kHead = "POST /size HTTP/1.1\r\nConnection: close\r\n";

TEST_F(HttpServerTest, ClientsThatAreTooSlowAreToldSo) {
  for (const std::string& half : {kHead, kHead + "Content-Length: 5\r\n\r\nab"}) {
    const std::string text = answer(half);
    EXPECT_THAT(text, StartsWith("HTTP/1.1 408 ")) << half;
    EXPECT_THAT(text, HasSubstr("\"code\":\"too_slow\""));
  }
  EXPECT_THAT(answer(kHead + "Content-Length: 2\r\n\r\nab"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, AnAnswerWakesItsClientOnce) {
  EXPECT_THAT(answer(kHead + "Content-Length: 2\r\n\r\nab"), EndsWith("\r\n\r\n2"));
  EXPECT_EQ(packets(), 1U);
  EXPECT_THAT(answer(kHead + "Content-Length: 5000\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(packets(), 1U);
}

TEST_F(HttpServerTest, AnswersWithoutABodyAndLongOnesComeWhole) {
  const std::string head = answer("HEAD /size HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 "));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  EXPECT_THAT(answer("POST /long HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
              EndsWith("\r\n\r\n" + std::string(300'000, 'x')));
}

TEST_F(HttpServerTest, AResponseThatBreaksOffEndsItsConnectionAlone) {
  const std::string broken = answer("GET /broken HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(broken, HasSubstr("begun"));
  EXPECT_THAT(broken, Not(EndsWith("0\r\n\r\n")));
  EXPECT_THAT(answer("GET /size HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, WhatIsNotHttpIsNotCalledSlow) {
  EXPECT_THAT(answer("NONSENSE\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer(kHead + "Content-Length: -1\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST_F(HttpServerTest, WhatFollowsADoubtfulRequestIsNotTakenForTheNext) {
  const std::string next = kHead + "Content-Length: 2\r\n\r\nab";
  for (const std::string doubtful :
       {"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length : 100\r\n\r\n",
        "Transfer-Encoding\t: chunked\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n"}) {
    const std::string text = answer("POST /size HTTP/1.1\r\n" + doubtful + next);
    EXPECT_THAT(text, AnyOf(StartsWith("HTTP/1.1 400 "), StartsWith("HTTP/1.1 501 ")));
    EXPECT_THAT(text, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(text, Not(HasSubstr("HTTP/1.1 200 "))) << doubtful;
  }
  EXPECT_THAT(answer("NONSENSE\r\n\r\n" + next), Not(HasSubstr("HTTP/1.1 200 ")));
  EXPECT_THAT(answer("POST /size HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + next),
              AllOf(HasSubstr("\r\n\r\n0"), HasSubstr("\r\n\r\n2")));
}

TEST_F(HttpServerTest, RefusalsBeforeTheHandlerHaveTheFormOfTheRoute) {
  const std::string head = "POST /own HTTP/1.1\r\nConnection: close\r\n";
  EXPECT_THAT(answer(head + "Content-Length: 2\r\n\r\nab"), HasSubstr("\r\n\r\n<wrong>"));
  EXPECT_THAT(answer(head + "Content-Length: 1001\r\n\r\n"), HasSubstr("<the request is larger"));
  EXPECT_THAT(answer(head + "Origin: http://evil\r\nContent-Length: 0\r\n\r\n"),
              HasSubstr("<the request comes from a page"));
  EXPECT_THAT(answer(head + "Content-Length: 5\r\n\r\nab"), HasSubstr("<the request did not come"));
}

}  // namespace
}  // namespace sam3trt
