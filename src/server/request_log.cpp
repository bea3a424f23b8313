#include "server/request_log.hpp"

#include <array>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/rounded.hpp"

namespace sam3trt {
namespace {

/// "2026-01-31T12:00:00.123Z"
std::string now() {
  const auto time = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::time_t value = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  ::gmtime_r(&value, &parts);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds).count();
  const std::string digits = std::to_string(1000 + milliseconds);
  return std::string(text.data(), size) + "." + digits.substr(1) + "Z";
}

}  // namespace

void RequestLog::add(const RequestRecord& record) {
  using Json = nlohmann::ordered_json;
  const Json json = {{"time", now()},
                     {"method", record.method},
                     {"route", record.route.empty() ? Json() : Json(record.route)},
                     {"status", record.status},
                     {"ms", rounded(record.milliseconds, 3)},
                     {"bytes_in", record.received},
                     {"bytes_out", record.sent}};
  const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const std::scoped_lock lock(mutex_);
  stream_ << line << std::flush;
}

}  // namespace sam3trt
