#pragma once

#include <mutex>
#include <ostream>

#include "server/http_server.hpp"

namespace sam3trt {

/// A line of JSON for each request: time, method, route, status, ms, bytes in and out. Nothing of
/// what was asked or answered. May be called from several threads.
class RequestLog {
 public:
  explicit RequestLog(std::ostream& stream) : stream_(stream) {}

  void add(const RequestRecord& record);

 private:
  std::ostream& stream_;
  std::mutex mutex_;
};

}  // namespace sam3trt
