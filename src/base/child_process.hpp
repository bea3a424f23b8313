#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>
#include <vector>

namespace sam3trt {

/// Where a child's standard input comes from.
enum class ChildInput { kNothing, kInherited, kPipe };

/// How a child process is started: without a shell, with the environment of this process.
struct ChildOptions {
  std::string program;                 ///< A path.
  std::vector<std::string> arguments;  ///< Without the program's name.
  ChildInput input = ChildInput::kNothing;
  bool output = true;       ///< A pipe; otherwise it goes nowhere.
  bool third_pipe = false;  ///< A pipe for what the child writes to descriptor 3.
};

/// A running program behind pipes. It is in a process group of its own, so that Ctrl-C reaches this
/// process only, and is killed when the thread that started it ends. Standard error is always a
/// pipe, which must be read.
class ChildProcess {
 public:
  /// Throws Error(kInternal) when the system has no process, pipe or memory for it.
  explicit ChildProcess(const ChildOptions& options);
  /// Kills it, where it still runs, and waits for its end.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Descriptors of the pipes' ends in this process; -1 where there is none.
  [[nodiscard]] int input() const { return input_; }
  [[nodiscard]] int output() const { return output_; }
  [[nodiscard]] int messages() const { return messages_; }
  [[nodiscard]] int third() const { return third_; }

  /// The child reads the end of its input.
  void close_input();

  /// With all processes of its group. From any thread; no harm when it has ended.
  void kill() noexcept;

  /// Waits for the end; the status as waitpid has it. Further calls return the same. From
  /// any thread.
  int wait();

 private:
  void close_all() noexcept;

  std::mutex mutex_;  ///< Of process_: a number that was waited for may be another process's.
  pid_t process_ = -1;
  int status_ = 0;
  int input_ = -1;
  int output_ = -1;
  int messages_ = -1;
  int third_ = -1;
};

}  // namespace sam3trt
