#include "base/log.hpp"

#include <mutex>
#include <utility>

namespace sam3trt {
namespace {

LogSink& sink() {
  static LogSink instance;
  return instance;
}

}  // namespace

void set_log_sink(LogSink new_sink) { sink() = std::move(new_sink); }

void log(LogLevel level, std::string_view message) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  if (sink()) sink()(level, message);
}

}  // namespace sam3trt
