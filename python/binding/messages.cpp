#include "messages.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.hpp"

namespace nb = nanobind;

namespace sam3trt::python {
namespace {

constexpr size_t kMostMessages = 1000;

struct Waiting {
  std::mutex mutex;
  std::deque<std::pair<LogLevel, std::string>> messages;
};

/// Never destroyed: threads of other libraries may outlive the module.
Waiting& waiting() {
  static auto& kept = *new Waiting;
  return kept;
}

/// As Python's logging counts.
int level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 10;
    case LogLevel::kInfo:
      return 20;
    case LogLevel::kWarning:
      return 30;
  }
  return 30;
}

}  // namespace

void collect_messages() {
  set_log_sink([](LogLevel level, std::string_view message) {
    Waiting& kept = waiting();
    const std::lock_guard lock(kept.mutex);
    kept.messages.emplace_back(level, message);
    if (kept.messages.size() > kMostMessages) kept.messages.pop_front();
  });
}

void deliver_messages() noexcept {
  try {
    std::deque<std::pair<LogLevel, std::string>> messages;
    {
      Waiting& kept = waiting();
      const std::lock_guard lock(kept.mutex);
      messages.swap(kept.messages);
    }
    if (messages.empty()) return;
    const nb::error_scope keeps_what_is_raised;
    const nb::object logger = nb::module_::import_("logging").attr("getLogger")("sam3trt");
    for (const auto& [level, text] : messages) logger.attr("log")(level_of(level), "%s", text);
  } catch (nb::python_error& error) {
    if (error.matches(PyExc_KeyboardInterrupt)) {
      PyErr_SetInterrupt();  // whoever looks for signals next raises it
    } else {
      error.discard_as_unraisable("sam3trt's messages");
    }
  } catch (const std::exception&) {
    return;  // out of memory: nobody is told of these
  }
}

}  // namespace sam3trt::python
