#include "base/descriptor.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace sam3trt {

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 65536> block{};
  while (true) {
    const ssize_t size = ::read(fd, block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return text;
    text.append(block.data(), static_cast<size_t>(size));
  }
}

int wait_for_child(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace sam3trt
