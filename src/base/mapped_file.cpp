#include "base/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor.hpp"
#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Opens a regular file; `size` becomes its length.
int open_regular(const std::filesystem::path& path, size_t& size) {
  // O_NONBLOCK: a named pipe is refused below instead of waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_bad_input(path.string() + ": cannot be opened: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw_bad_input(path.string() + ": is not a regular file");
  }
  size = static_cast<size_t>(info.st_size);
  return fd;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  size_t size = 0;
  const Descriptor fd(open_regular(path, size));
  if (size == 0) return;
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) {
    throw Error(ErrorCode::kInternal,
                path.string() + ": cannot be mapped into memory: " + std::strerror(errno));
  }
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  constexpr size_t kLargest = size_t{1} << 30;
  size_t size = 0;
  const Descriptor fd(open_regular(path, size));
  if (size > kLargest) {
    throw_bad_input(path.string() + ": has " + std::to_string(size) +
                    " bytes; expected at most 1 GiB");
  }
  std::vector<std::byte> bytes(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(fd.get(), bytes.data() + done, size - done);
    if (count == 0) break;  // truncated meanwhile: the decoder says what is missing
    if (count < 0 && errno != EINTR) {
      throw Error(ErrorCode::kInternal,
                  path.string() + ": reading failed: " + std::strerror(errno));
    }
    if (count > 0) done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace sam3trt
