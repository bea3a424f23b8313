#pragma once

#include <functional>
#include <string_view>

namespace sam3trt {

enum class LogLevel { kDebug, kInfo, kWarning };

using LogSink = std::function<void(LogLevel, std::string_view)>;

/// Sets the function that receives the library's messages. The library itself never prints; without
/// a sink messages are dropped. Not thread safe: set it once, before any other call.
void set_log_sink(LogSink sink);

/// Hands one message to the sink; of several threads, one after the other.
void log(LogLevel level, std::string_view message);

}  // namespace sam3trt
