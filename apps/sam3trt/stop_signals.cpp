#include "stop_signals.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/temporary.hpp"

namespace sam3trt {
namespace {

struct StopSignal {
  int number;
  const char* name;
};

constexpr std::array kStopSignals = {StopSignal{SIGINT, "SIGINT"}, StopSignal{SIGTERM, "SIGTERM"},
                                     StopSignal{SIGHUP, "SIGHUP"}};

/// The writing end of the pipe to the thread that does the work: a handler must not.
int wake_descriptor = -1;

void wake(int signal) {
  const int error = errno;
  const auto number = static_cast<unsigned char>(signal);
  static_cast<void>(::write(wake_descriptor, &number, 1));
  errno = error;
}

[[noreturn]] void die_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::kill(::getpid(), signal);
  while (true) ::pause();
}

void wait_for_signal(int descriptor) {
  unsigned char number = 0;
  while (::read(descriptor, &number, 1) != 1) {
    if (errno != EINTR) return;
  }
  stop_writing();
  // A progress bar has not ended its line.
  std::string message = ::isatty(STDERR_FILENO) == 1 ? "\n" : "";
  message += "sam3trt: stopped by ";
  for (const auto& [signal, name] : kStopSignals) {
    if (signal == number) message += name;
  }
  message += "\n";
  static_cast<void>(::write(STDERR_FILENO, message.data(), message.size()));
  die_by(number);
}

}  // namespace

void end_cleanly_on_signals() {
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kInternal, std::string("no pipe for signals: ") + std::strerror(errno));
  }
  wake_descriptor = ends[1];
  std::thread(wait_for_signal, ends[0]).detach();
  for (const auto& [signal, name] : kStopSignals) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = wake;
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // the second one ends at once
    ::sigaction(signal, &action, nullptr);
  }
}

void die_of_broken_pipe() {
  stop_writing();
  die_by(SIGPIPE);
}

}  // namespace sam3trt
