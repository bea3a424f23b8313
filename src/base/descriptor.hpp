#pragma once

#include <sys/types.h>

#include <string>

namespace sam3trt {

/// Closes a file descriptor at the end of a scope; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// Everything until the end of a pipe or file, or until reading fails.
[[nodiscard]] std::string read_to_end(int fd);

/// Waits for the end of a child process; its status as waitpid has it.
[[nodiscard]] int wait_for_child(pid_t child);

}  // namespace sam3trt
