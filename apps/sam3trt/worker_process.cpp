#include "worker_process.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <new>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "stop_signals.hpp"

namespace sam3trt {
namespace {

constexpr int kMaxDeathsInARow = 10;
constexpr int kMaxAttempts = 2;

/// Of this process; never freed, because the plan of the worker points to it.
WorkerProgress* shared_progress() {
  void* memory = ::mmap(nullptr, sizeof(WorkerProgress), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(ErrorCode::kInternal,
                std::string("no memory for a worker process: ") + std::strerror(errno));
  }
  return new (memory) WorkerProgress;
}

std::string describe_death(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

/// What the deaths of workers say about images.
class DeathRecord {
 public:
  /// After a worker died of `signal`: what the next one has to do.
  void add(WorkerPlan& plan, int signal) {
    const uint64_t taken = std::max(plan.progress->taken, plan.first);
    const uint64_t written = std::max(plan.progress->written, plan.first);
    deaths_ = written > written_ ? 1 : deaths_ + 1;
    written_ = written;
    const std::string death = describe_death(signal);
    if (taken == written || deaths_ > kMaxDeathsInARow) {
      throw Error(ErrorCode::kInternal,
                  taken == written
                      ? "the worker process died of " + death + " before it had taken an image"
                      : std::to_string(deaths_) +
                            " worker processes in a row died, the last one "
                            "of " +
                            death);
    }
    plan.first = written;
    if (taken - written == 1 && plan.one_by_one > written && ++attempts_[written] == kMaxAttempts) {
      plan.failed[written] = "the process that worked on this image died of " + death + ", " +
                             std::to_string(kMaxAttempts) + " times";
    }
    plan.one_by_one = std::max(plan.one_by_one, taken);
    log(LogLevel::kWarning,
        "the worker process died of " + death + " with " + std::to_string(taken - written) +
            (taken - written == 1 ? " image" : " images") + " in hand; going on with another one");
  }

 private:
  std::map<uint64_t, int> attempts_;
  uint64_t written_ = 0;
  int deaths_ = 0;
};

bool ends_the_program(int signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGPIPE;
}

}  // namespace

std::optional<int> run_worker(WorkerPlan& plan) {
  plan.progress = shared_progress();
  DeathRecord record;
  while (true) {
    std::cout.flush();
    const pid_t worker = fork_with_signals();
    if (worker == 0) return std::nullopt;
    const int status = wait_for_child(worker);
    worker_has_ended();
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    if (ends_the_program(WTERMSIG(status))) die_by_signal(WTERMSIG(status));
    record.add(plan, WTERMSIG(status));
  }
}

void check_apart(const std::function<void()>& check) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error(ErrorCode::kInternal, std::string("no pipe: ") + std::strerror(errno));
  }
  const pid_t child = fork_with_signals();
  if (child == 0) {
    // The code in one byte, then the message.
    std::string report;
    try {
      check();
    } catch (const Error& error) {
      report = static_cast<char>('0' + static_cast<int>(error.code())) + std::string(error.what());
    } catch (const std::exception& error) {
      report = std::string("0") + error.what();
    }
    const bool told =
        ::write(ends[1], report.data(), report.size()) == static_cast<ssize_t>(report.size());
    std::_Exit(told ? 0 : 1);
  }
  ::close(ends[1]);
  const std::string report = read_to_end(ends[0]);
  ::close(ends[0]);
  const int status = wait_for_child(child);
  worker_has_ended();
  if (!report.empty()) {
    throw Error(static_cast<ErrorCode>(report.front() - '0'), report.substr(1));
  }
  if (WIFSIGNALED(status)) {
    throw Error(ErrorCode::kInternal,
                "a check of the GPU died of " + describe_death(WTERMSIG(status)));
  }
}

}  // namespace sam3trt
