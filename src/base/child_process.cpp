#include "base/child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/descriptor.hpp"
#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Above those that the child uses, so that none is overwritten while they are put in place.
constexpr int kFirstFree = 10;
constexpr int kThirdPipe = 3;
constexpr int kCannotStart = 127;

[[noreturn]] void fail(const std::string& program) {
  throw Error(ErrorCode::kInternal, program + ": cannot be started: " + std::strerror(errno));
}

/// A descriptor out of the way of 0 to 3.
int moved(int fd, const std::string& program) {
  const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstFree);
  ::close(fd);
  if (high < 0) fail(program);
  return high;
}

struct Pipe {
  int read = -1;
  int write = -1;
};

Pipe make_pipe(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(program);
  Pipe pipe;
  pipe.read = moved(ends[0], program);
  pipe.write = moved(ends[1], program);
  return pipe;
}

/// In the child: only what may be called between fork and exec.
void put(int from, int to) {
  if (from >= 0) ::dup2(from, to);
}

[[noreturn]] void become(const char* program, char* const* arguments, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execv(program, arguments);
  ::_exit(kCannotStart);
}

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options) {
  const int nothing = moved(::open("/dev/null", O_RDWR | O_CLOEXEC), options.program);
  Pipe in;
  Pipe out;
  Pipe error;
  Pipe third;
  try {
    error = make_pipe(options.program);
    if (options.input == ChildInput::kPipe) in = make_pipe(options.program);
    if (options.output) out = make_pipe(options.program);
    if (options.third_pipe) third = make_pipe(options.program);
    std::vector<std::string> words = options.arguments;
    words.insert(words.begin(), options.program);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) {
      if (options.input != ChildInput::kInherited) {
        put(options.input == ChildInput::kPipe ? in.read : nothing, STDIN_FILENO);
      }
      put(options.output ? out.write : nothing, STDOUT_FILENO);
      put(error.write, STDERR_FILENO);
      put(third.write, kThirdPipe);
      become(options.program.c_str(), arguments.data(), parent);
    }
    if (process_ < 0) fail(options.program);
  } catch (...) {
    for (const int fd : {nothing, in.read, in.write, out.read, out.write, error.read, error.write,
                         third.read, third.write}) {
      if (fd >= 0) ::close(fd);
    }
    throw;
  }
  for (const int fd : {nothing, in.read, out.write, error.write, third.write}) {
    if (fd >= 0) ::close(fd);
  }
  input_ = in.write;
  output_ = out.read;
  messages_ = error.read;
  third_ = third.read;
}

ChildProcess::~ChildProcess() {
  kill();
  wait();
  close_all();
}

void ChildProcess::close_input() {
  if (input_ >= 0) ::close(std::exchange(input_, -1));
}

void ChildProcess::kill() noexcept {
  const std::scoped_lock lock(mutex_);
  if (process_ <= 0) return;
  ::kill(-process_, SIGKILL);  // and what it has started, which would keep the pipes open
  ::kill(process_, SIGKILL);   // it may not have its group yet
}

int ChildProcess::wait() {
  pid_t process = -1;
  {
    const std::scoped_lock lock(mutex_);
    if (process_ <= 0) return status_;
    process = process_;
  }
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  const std::scoped_lock lock(mutex_);
  if (process_ > 0) status_ = wait_for_child(process_);
  process_ = -1;
  return status_;
}

void ChildProcess::close_all() noexcept {
  for (int* fd : {&input_, &output_, &messages_, &third_}) {
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
  }
}

}  // namespace sam3trt
