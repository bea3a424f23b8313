#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/access.hpp"
#include "server/client_connection.hpp"
#include "server/http.hpp"

namespace sam3trt {

/// What was done for one request; nothing of its contents.
struct RequestRecord {
  std::string method;
  std::string route;  ///< Its pattern; empty: there was none.
  int status = 0;
  double milliseconds = 0;
  int64_t received = 0;  ///< Bytes.
  int64_t sent = 0;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  ///< 0: a free one.
  std::string tls_certificate;
  std::string tls_key;
  AccessRules access;
  size_t threads = 1024;                      ///< One for each connection.
  size_t max_body_bytes = size_t{64} << 20;   ///< Of one request.
  size_t max_upload_bytes = size_t{2} << 30;  ///< Of one request whose files go to disk.
  size_t max_parts = 1024;                    ///< Of multipart/form-data.
  size_t all_bodies_bytes = size_t{1} << 30;  ///< Of all requests together, in memory.
  ConnectionTimes times;
  /// Called after each response, on any thread.
  std::function<void(const RequestRecord&)> log;
};

/// Routes on a port.
class HttpServer {
 public:
  /// Listens from now on. Throws Error(kBadInput) for an address that cannot be listened on and
  /// files that are no certificate or key. The routes must outlive it.
  HttpServer(const Routes& routes, HttpServerOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] int port() const;

  /// Answers requests until stop(): what runs is finished then. Once.
  void run();

  /// From any thread; returns at once.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sam3trt
