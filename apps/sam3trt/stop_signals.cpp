#include "stop_signals.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

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

/// What a parent sends its child in place of them: those may reach the child from elsewhere, too.
constexpr int kStopOfParent = SIGUSR1;

std::mutex state_mutex;
std::function<void()> stop_action;
bool stop_action_ends = false;  ///< The program ends by itself after it.
bool acts = false;              ///< The action is at work.
std::condition_variable has_acted;
pid_t worker = -1;
bool is_dying = false;
std::condition_variable worker_ended;

/// The writing end of the pipe to the thread that does the work: a handler must not.
int wake_descriptor = -1;

void wake(int signal) {
  const int error = errno;
  const auto number = static_cast<unsigned char>(signal);
  static_cast<void>(::write(wake_descriptor, &number, 1));
  errno = error;
}

[[noreturn]] void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::kill(::getpid(), signal);
  while (true) ::pause();
}

/// Tells the child to end, and waits until it has.
void stop_worker() {
  std::unique_lock lock(state_mutex);
  is_dying = true;
  if (worker < 0) return;
  ::kill(worker, kStopOfParent);
  worker_ended.wait(lock, [] { return worker < 0; });
}

void act_on_stop() {
  std::function<void()> action;
  bool ends_itself = false;
  {
    const std::scoped_lock lock(state_mutex);
    action = stop_action;
    ends_itself = stop_action_ends;
    acts = true;
  }
  try {
    if (action) action();
  } catch (const std::exception& error) {
    const std::string message = std::string("sam3trt: error: ") + error.what() + "\n";
    static_cast<void>(::write(STDERR_FILENO, message.data(), message.size()));
  }
  {
    const std::scoped_lock lock(state_mutex);
    acts = false;
    has_acted.notify_all();
  }
  if (!ends_itself) return;
  while (true) ::pause();
}

void wait_for_signal(int descriptor) {
  unsigned char number = 0;
  while (::read(descriptor, &number, 1) != 1) {
    if (errno != EINTR) return;
  }
  stop_worker();
  act_on_stop();
  stop_writing();
  if (number == kStopOfParent) end_by(SIGTERM);
  // A progress bar has not ended its line.
  std::string message = ::isatty(STDERR_FILENO) == 1 ? "\n" : "";
  message += "sam3trt: stopped by ";
  for (const auto& [signal, name] : kStopSignals) {
    if (signal == number) message += name;
  }
  message += "\n";
  static_cast<void>(::write(STDERR_FILENO, message.data(), message.size()));
  end_by(number);
}

/// A thread that a signal's handler wakes.
void start_waiting() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kInternal, std::string("no pipe for signals: ") + std::strerror(errno));
  }
  wake_descriptor = ends[1];
  std::thread(wait_for_signal, ends[0]).detach();
}

void handle(int signal) {
  struct sigaction action {};
  action.sa_handler = wake;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // the second one ends at once
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void end_cleanly_on_signals() {
  std::signal(SIGXFSZ, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  start_waiting();
  for (const auto& [signal, name] : kStopSignals) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    handle(signal);
  }
}

void set_stop_action(std::function<void()> action, bool ends_itself) {
  std::unique_lock lock(state_mutex);
  has_acted.wait(lock, [] { return !acts; });
  stop_action = std::move(action);
  stop_action_ends = ends_itself;
}

pid_t fork_with_signals() {
  const std::scoped_lock lock(
      state_mutex);  // a signal meanwhile finds the child, or comes before it
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) {
    throw Error(ErrorCode::kInternal,
                std::string("no worker process can be started: ") + std::strerror(errno));
  }
  if (child > 0) {
    worker = child;
    return child;
  }
  acts = false;  // the thread that did is not in here
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) std::_Exit(1);  // it died before this line
  for (const auto& [signal, name] : kStopSignals) std::signal(signal, SIG_IGN);
  start_waiting();
  handle(kStopOfParent);
  return 0;
}

void worker_has_ended() {
  std::unique_lock lock(state_mutex);
  worker = -1;
  worker_ended.notify_all();
  if (!is_dying) return;
  lock.unlock();
  while (true) ::pause();
}

void die_by_signal(int signal) {
  stop_writing();
  end_by(signal);
}

void die_of_broken_pipe() {
  stop_writing();
  end_by(SIGPIPE);
}

}  // namespace sam3trt
