#include "base/temporary.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = ".sam3trt-";
constexpr std::string_view kSuffix = ".tmp";
constexpr int kMostAttempts = 100;

enum class Kind { kFile, kTree, kEmptyFolder };

/// What has to be removed should the process stop now. Never destroyed: objects with static storage
/// may still write when main has returned.
struct Registry {
  std::recursive_mutex mutex;
  std::map<fs::path, Kind> entries;
  std::set<fs::path> swept;
};

Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

void forget(const fs::path& path) {
  const WritingLock lock;
  registry().entries.erase(path);
}

std::string random_name() {
  std::array<unsigned char, 6> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw Error(ErrorCode::kInternal, std::string("no random numbers: ") + std::strerror(errno));
  }
  std::string name(kPrefix);
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4U];
    name += "0123456789abcdef"[byte & 15U];
  }
  return name.append(kSuffix);
}

bool is_same_file(int fd, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// Makes a name in `folder` with `open`, which gives a descriptor or -1, and locks it.
template <typename Open>
int make_locked(const fs::path& folder, Kind kind, fs::path& path, Open open) {
  sweep_temporaries(folder);
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const WritingLock lock;
    path = folder / random_name();
    const int fd = open(path);
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return -1;
    registry().entries[path] = kind;
    // A sweep of another process may be faster and take the name: then the next one is tried. File
    // systems without locks are never swept.
    while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    if (is_same_file(fd, path)) return fd;
    registry().entries.erase(path);
    ::close(fd);
  }
  errno = EEXIST;
  return -1;
}

void remove(const fs::path& path, Kind kind) noexcept {
  std::error_code ignored;
  switch (kind) {
    case Kind::kFile:
      ::unlink(path.c_str());
      return;
    case Kind::kTree:
      fs::remove_all(path, ignored);
      return;
    case Kind::kEmptyFolder:
      ::rmdir(path.c_str());
      return;
  }
}

/// Removes the entry when no living process has locked it.
void sweep_entry(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return;
  const bool folder = S_ISDIR(info.st_mode);
  if (!folder && !S_ISREG(info.st_mode)) return;
  const int fd = ::open(path.c_str(), O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
                                          (folder ? O_RDONLY | O_DIRECTORY : O_RDWR));
  if (fd < 0) return;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && is_same_file(fd, path)) {
    remove(path, folder ? Kind::kTree : Kind::kFile);
  }
  ::close(fd);
}

}  // namespace

TemporaryFile::TemporaryFile(const fs::path& folder, const fs::path& purpose) {
  fd_ = make_locked(folder, Kind::kFile, path_, [](const fs::path& path) {
    return ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  });
  if (fd_ >= 0) return;
  throw_bad_input(purpose.string() + ": cannot be written: " + std::strerror(errno) +
                  "; check that its folder exists and is writable");
}

TemporaryFile::~TemporaryFile() {
  if (!path_.empty()) {
    ::unlink(path_.c_str());
    forget(path_);
  }
  ::close(fd_);
}

bool TemporaryFile::rename_to(const fs::path& target) {
  const WritingLock lock;
  if (::rename(path_.c_str(), target.c_str()) != 0) return false;
  forget(path_);
  path_.clear();
  return true;
}

TemporaryFolder::TemporaryFolder(const fs::path& parent) {
  fd_ = make_locked(parent, Kind::kTree, path_, [](const fs::path& path) {
    if (::mkdir(path.c_str(), 0777) != 0) return -1;
    return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  });
  if (fd_ >= 0) return;
  throw_bad_input(parent.string() + ": a folder for intermediate files cannot be made in it: " +
                  std::strerror(errno) + "; check that it exists and is writable");
}

TemporaryFolder::~TemporaryFolder() {
  remove(path_, Kind::kTree);
  forget(path_);
  ::close(fd_);
}

ResultFolder::ResultFolder(const fs::path& folder, const std::string& what) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path at = fs::absolute(folder).lexically_normal(); !fs::exists(at, error);
       at = at.parent_path()) {
    if (at.has_filename()) missing.push_back(at);
    if (at == at.parent_path()) break;
  }
  const WritingLock lock;
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    if (::mkdir(at->c_str(), 0777) == 0) {
      made_.push_back(*at);
      registry().entries[*at] = Kind::kEmptyFolder;
    } else if (errno != EEXIST) {
      const std::string reason = std::strerror(errno);
      for (auto undo = made_.rbegin(); undo != made_.rend(); ++undo) {
        remove(*undo, Kind::kEmptyFolder);
        forget(*undo);
      }
      throw_bad_input(what + ": the folder cannot be made: " + at->string() + ": " + reason);
    }
  }
  if (!fs::is_directory(folder, error)) {
    throw_bad_input(what + ": expected a folder, found a file");
  }
}

ResultFolder::~ResultFolder() {
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
    remove(*path, Kind::kEmptyFolder);
    forget(*path);
  }
}

void ResultFolder::keep() {
  for (const fs::path& path : made_) forget(path);
  made_.clear();
}

WritingLock::WritingLock() : lock_(registry().mutex) {}

void stop_writing() noexcept {
  Registry& known = registry();
  known.mutex.lock();  // for good
  // Other threads may still be writing into a folder that is being removed.
  for (int attempt = 0; attempt < 3; ++attempt) {
    for (const auto& [path, kind] : known.entries) {
      if (kind != Kind::kEmptyFolder) remove(path, kind);
    }
  }
  for (auto entry = known.entries.rbegin(); entry != known.entries.rend(); ++entry) {
    if (entry->second == Kind::kEmptyFolder) remove(entry->first, entry->second);
  }
}

void sweep_temporaries(const fs::path& folder) noexcept {
  try {
    {
      const WritingLock lock;
      if (!registry().swept.insert(fs::absolute(folder).lexically_normal()).second) return;
    }
    std::error_code error;
    for (fs::directory_iterator entry(folder.empty() ? "." : folder, error), end;
         !error && entry != end; entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) sweep_entry(entry->path());
    }
  } catch (const std::exception&) {
    // Out of memory, or a working directory that is gone: nothing is swept.
  }
}

}  // namespace sam3trt
