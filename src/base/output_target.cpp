#include "base/output_target.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& what, int error) {
  throw_bad_input(what + ": cannot be written: " + std::strerror(error));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Whether `folder` lies in /proc, whose links lead to open files rather than to names.
bool is_in_proc(const fs::path& folder) {
  struct statfs info {};
  return ::statfs(folder.c_str(), &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

/// N for the open file N of this process as /proc names it; else -1.
int own_descriptor(const fs::path& path) {
  std::error_code error;
  const fs::path folder = fs::canonical(folder_of(path), error);
  const fs::path own = "/proc/" + std::to_string(::getpid());
  if (error || folder.filename() != "fd" ||
      (folder.parent_path() != own && folder.parent_path().parent_path() != own / "task")) {
    return -1;
  }
  const std::string name = path.filename().string();
  int number = -1;
  const auto result = std::from_chars(name.data(), name.data() + name.size(), number);
  return result.ec == std::errc() && result.ptr == name.data() + name.size() ? number : -1;
}

/// Follows links of the last part of a path until it names no link, or an open file in /proc.
fs::path follow_links(fs::path path, const std::string& what) {
  constexpr int kMostLinks = 40;  // as Linux has it
  for (int i = 0; i < kMostLinks; ++i) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return path;
    if (is_in_proc(folder_of(path))) return path;
    std::error_code error;
    const fs::path next = fs::read_symlink(path, error);
    if (error) refuse(what, error.value());
    path = next.is_absolute() ? next : folder_of(path) / next;
  }
  refuse(what, ELOOP);
}

void check_access(const fs::path& path, const std::string& what) {
  if (::access(path.c_str(), W_OK) != 0) refuse(what, errno);
}

/// The folder must take the new file that replaces the target.
void check_folder(const fs::path& target, const std::string& what) {
  const fs::path folder = folder_of(target);
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw_bad_input(what + ": cannot be written: there is no folder " +
                    fs::absolute(folder).lexically_normal().string() + "; make it first");
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw_bad_input(what + ": cannot be written: its folder " + folder.string() +
                    " takes no new file (" + std::strerror(errno) +
                    "); name a file in a folder that can be written");
  }
}

}  // namespace

OutputTarget find_output_target(const fs::path& path, const std::string& what) {
  if (path.empty()) throw_bad_input(what + ": expected the name of a file, found an empty one");
  OutputTarget target;
  target.path = follow_links(path, what);
  struct stat info {};
  if (::stat(target.path.c_str(), &info) != 0) {
    if (errno != ENOENT) {
      if (errno == ENOTDIR) check_folder(target.path, what);
      refuse(what, errno);
    }
    if (!target.path.has_filename()) {
      throw_bad_input(what + ": expected the name of a file, found that of a folder");
    }
    check_folder(target.path, what);
    return target;
  }
  if (S_ISDIR(info.st_mode)) {
    throw_bad_input(what + ": expected a file name, found a folder; name a file in it");
  }
  target.descriptor = own_descriptor(target.path);
  if (target.descriptor >= 0) {
    target.written_through = true;
    const int flags = ::fcntl(target.descriptor, F_GETFL);
    if (flags < 0) refuse(what, errno);
    if ((flags & O_ACCMODE) == O_RDONLY) refuse(what, EBADF);
    return target;
  }
  if (S_ISSOCK(info.st_mode)) {
    throw_bad_input(what + ": is a socket; expected a file, a device or a pipe");
  }
  check_access(target.path, what);
  target.written_through = !S_ISREG(info.st_mode) || is_in_proc(folder_of(target.path));
  if (target.written_through) return target;
  check_folder(target.path, what);
  target.replaced = {info.st_mode & 07777U, info.st_uid, info.st_gid};
  return target;
}

void check_output_folder(const fs::path& folder, const std::string& what) {
  if (folder == "-") {
    throw_bad_input(what + ": several files cannot go to standard output; name a folder");
  }
  if (folder.empty()) throw_bad_input(what + ": expected the name of a folder, found an empty one");
  struct stat info {};
  fs::path at = fs::absolute(folder).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  while (::stat(at.c_str(), &info) != 0) {
    if (errno != ENOENT) refuse(what, errno);
    if (::lstat(at.c_str(), &info) == 0) {
      throw_bad_input(what + ": " + at.string() +
                      " is a symbolic link to a folder that is missing");
    }
    if (at.filename().native().size() > NAME_MAX) refuse(what, ENAMETOOLONG);
    at = at.parent_path();
  }
  if (!S_ISDIR(info.st_mode)) {
    throw_bad_input(what + ": expected a folder, but " + at.string() + " is a file");
  }
  if (::access(at.c_str(), W_OK | X_OK) != 0) {
    throw_bad_input(what + ": " + at.string() + " cannot be written: " + std::strerror(errno));
  }
}

}  // namespace sam3trt
