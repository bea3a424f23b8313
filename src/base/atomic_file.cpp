#include "base/atomic_file.hpp"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const char* what) {
  throw Error(ErrorCode::kInternal, path.string() + ": " + what + ": " + std::strerror(errno));
}

/// Opens what is written through. A pipe waits for its reader here, as everywhere.
int open_through(const OutputTarget& target, const fs::path& path) {
  int fd = -1;
  do {
    fd = target.descriptor >= 0 ? ::fcntl(target.descriptor, F_DUPFD_CLOEXEC, 3)
                                : ::open(target.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    throw_bad_input(path.string() + ": cannot be written: " + std::strerror(errno));
  }
  return fd;
}

/// Owner first: a change of it may clear bits of the mode. Only root can give files away, and a
/// file that cannot be given back still has its new content.
void keep_attributes(int fd, const OutputTarget::Replaced& replaced, const fs::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail(path, "reading permissions failed");
  if ((info.st_uid != replaced.owner || info.st_gid != replaced.group) &&
      ::fchown(fd, replaced.owner, replaced.group) != 0 &&
      ::fchown(fd, static_cast<uid_t>(-1), replaced.group) != 0) {
    return static_cast<void>(::fchmod(fd, replaced.mode & 0777U));
  }
  if (::fchmod(fd, replaced.mode) != 0) fail(path, "setting permissions failed");
}

/// The folder that the new file is made in: of the name that it gets.
fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void remove_regular_file(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  if (::unlink(path.c_str()) != 0) fail(path, "removing the old file failed");
}

/// A file that is a mount point of its own, as container programs make them, has a name that cannot
/// be given to another: the complete new content is copied into it.
void copy_into_place(int from, const fs::path& target, const fs::path& path) {
  const int to = ::open(target.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (to < 0) fail(path, "replacing failed");
  off_t at = 0;
  ssize_t copied = 0;
  while ((copied = ::sendfile(to, from, &at, size_t{1} << 30)) > 0) {
  }
  const bool complete = copied == 0 && ::fsync(to) == 0;
  const int error = errno;
  ::close(to);
  errno = error;
  if (!complete) fail(path, "copying into place failed");
}

}  // namespace

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), target_(find_output_target(path_, path_.string())) {
  if (target_.written_through) {
    fd_ = open_through(target_, path_);
    return;
  }
  temporary_.emplace(folder_of(target_.path), path_);
  fd_ = temporary_->descriptor();
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0 && !temporary_) ::close(fd_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "writing failed");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
    size_ += static_cast<size_t>(written);
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::flush() {
  if (std::exchange(flushed_, true) || !temporary_) return;
  if (target_.replaced) keep_attributes(fd_, *target_.replaced, path_);
  if (::fsync(fd_) != 0) fail(path_, "flushing to disk failed");
}

void AtomicFile::commit() {
  flush();
  if (!temporary_) {
    if (::close(std::exchange(fd_, -1)) != 0) fail(path_, "closing failed");
    return;
  }
  if (temporary_->rename_to(target_.path)) return;
  if (errno != EBUSY) fail(path_, "renaming failed");
  const WritingLock lock;
  copy_into_place(fd_, target_.path, path_);
}

AtomicFile& AtomicFiles::add(const fs::path& path) {
  files_.push_back(std::make_unique<AtomicFile>(path));
  return *files_.back();
}

std::vector<fs::path> AtomicFiles::commit() {
  for (const auto& file : files_) file->flush();
  std::vector<fs::path> written;
  const WritingLock lock;
  for (const fs::path& path : first_) {
    const OutputTarget target = find_output_target(path, path.string());
    if (!target.written_through) remove_regular_file(target.path);
  }
  for (const auto& file : files_) {
    file->commit();
    written.push_back(file->path());
  }
  for (const fs::path& path : last_) remove_regular_file(path);
  return written;
}

}  // namespace sam3trt
