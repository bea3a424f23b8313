#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "command_line.hpp"
#include "cuda/device.hpp"
#include "stop_signals.hpp"

namespace {

int exit_code_of(sam3trt::ErrorCode code) {
  switch (code) {
    case sam3trt::ErrorCode::kInternal:
      return 1;
    case sam3trt::ErrorCode::kBadInput:
      return 2;
    case sam3trt::ErrorCode::kUnavailable:
      return 3;
    case sam3trt::ErrorCode::kVerificationFailed:
      return 4;
  }
  return 1;
}

/// Whether the descriptor is a pipe that nobody reads any more.
bool is_broken_pipe(int descriptor) {
  pollfd state{descriptor, 0, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

int fail(const std::string& message, int exit_code) {
  std::cerr << "sam3trt: error: " << message << "\n";
  return exit_code;
}

/// Masks and images of every frame are made and freed in host memory. By default the C library
/// gives blocks of their size back to the system at once, and the next frame takes them again page
/// by page, which costs more than what is done with them: 17 ms for 20 masks of 288 x 288 in place
/// of 0.5. Larger blocks still go back, and so does free memory beyond 256 MiB: 200 masks of noise
/// have run lengths of 160 MB.
void keep_freed_memory() {
  constexpr int kOwnMapping = 8 << 20;
  constexpr int kKept = 256 << 20;
  static_cast<void>(mallopt(M_MMAP_THRESHOLD, kOwnMapping));
  static_cast<void>(mallopt(M_TRIM_THRESHOLD, kKept));
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  sam3trt::keep_kernel_stacks_small();
  try {
    sam3trt::end_cleanly_on_signals();
    const int exit_code =
        sam3trt::run_command_line(std::vector<std::string>(argv + 1, argv + argc));
    errno = 0;
    std::cout.flush();
    if (!std::cout) {
      if (errno == EPIPE || is_broken_pipe(STDOUT_FILENO)) sam3trt::die_of_broken_pipe();
      return fail("writing to standard output failed", 1);
    }
    return exit_code;
  } catch (const sam3trt::Error& error) {
    return fail(error.what(), exit_code_of(error.code()));
  } catch (const std::bad_alloc&) {
    return fail("out of memory", 1);
  } catch (const std::exception& error) {
    return fail(error.what(), 1);
  }
}
