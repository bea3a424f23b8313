#include "hub/part_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/output_target.hpp"

namespace sam3trt {

namespace {

/// What gets the complete file: where a link leads. Nothing but a file can be resumed.
std::filesystem::path target_of(const std::filesystem::path& path) {
  OutputTarget target = find_output_target(path, path.string());
  if (target.written_through) {
    throw_bad_input(path.string() + ": is not a regular file; remove it, or name another --output");
  }
  return std::move(target.path);
}

}  // namespace

PartFile::PartFile(const std::filesystem::path& target)
    : target_(target_of(target)), path_(target_.string() + ".part") {
  // Symbolic links are refused: the name is known beforehand, and somebody else may own the folder.
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd_ < 0) {
    throw_bad_input(path_.string() + ": cannot be written: " + std::strerror(errno) +
                    "; check that its folder is writable");
  }
  struct stat status {};
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd_);
    throw_bad_input(path_.string() + ": another download is writing it; wait for its end");
  }
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode) || ::lseek(fd_, 0, SEEK_END) < 0) {
    ::close(fd_);
    throw_bad_input(path_.string() + ": is not a regular file; remove it");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

PartFile::~PartFile() {
  if (fd_ >= 0) ::close(fd_);
}

void PartFile::fail(const char* what) const {
  throw Error(ErrorCode::kInternal,
              path_.string() + ": " + what + ": " + std::strerror(errno) + "; " +
                  std::to_string(size_) +
                  " bytes are kept: make room and run the same command again to go on");
}

void PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("writing failed");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<uint64_t>(written);
  }
}

void PartFile::clear() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) < 0) fail("emptying failed");
  size_ = 0;
}

void PartFile::commit() {
  if (::fsync(fd_) != 0) fail("flushing to disk failed");
  if (::rename(path_.c_str(), target_.c_str()) != 0) fail("renaming failed");
  ::close(std::exchange(fd_, -1));
}

void PartFile::discard() {
  ::unlink(path_.c_str());
  ::close(std::exchange(fd_, -1));
}

}  // namespace sam3trt
