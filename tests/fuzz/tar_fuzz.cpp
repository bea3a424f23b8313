// Any bytes as a tar file.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "jobs/tar_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int file = ::memfd_create("tar_fuzz", MFD_CLOEXEC);
  if (file < 0 || ::write(file, data, size) != static_cast<ssize_t>(size)) std::abort();
  try {
    sam3trt::TarFile tar("/proc/self/fd/" + std::to_string(file));
    // Compressed zeros can go on for long.
    for (int entries = 0; entries < 100; ++entries) {
      const std::optional<sam3trt::TarEntry> entry = tar.next();
      if (!entry) break;
      if (entry->bytes < int64_t{1} << 20) static_cast<void>(tar.read());
    }
  } catch (const sam3trt::Error&) {
    // Refused, as most inputs are.
  }
  ::close(file);
  return 0;
}
