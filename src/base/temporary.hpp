#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

namespace sam3trt {

// What is being written lies under a name of its own, ".sam3trt-<12 hex digits>.tmp", until it is
// complete. Three things keep such names from staying:
// * the owner removes them when it is destroyed;
// * a program that is about to die by a signal calls stop_writing();
// * what a killed process leaves is removed by the next one that writes into the same folder, or
//   that calls sweep_temporaries() for it. Every name is locked (flock) as long as its owner lives,
//   so that nothing of a living process is ever taken, not even across containers.

/// A new, empty file in `folder` that only this object knows. Throws Error(kBadInput) that names
/// `purpose` when it cannot be made.
class TemporaryFile {
 public:
  TemporaryFile(const std::filesystem::path& folder, const std::filesystem::path& purpose);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] int descriptor() const { return fd_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Gives the file its final name, replacing what has it; false with errno when that fails.
  [[nodiscard]] bool rename_to(const std::filesystem::path& target);

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

/// A new, empty folder in `parent`, removed with all it holds at the end. Throws Error(kBadInput)
/// when it cannot be made.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

/// A folder for results with those above it, made where they are missing. What this object made is
/// removed again, where it is still empty, unless keep() was called. Throws Error(kBadInput) that
/// begins with `what` when the folder cannot be made.
class ResultFolder {
 public:
  ResultFolder(const std::filesystem::path& folder, const std::string& what);
  ~ResultFolder();
  ResultFolder(const ResultFolder&) = delete;
  ResultFolder& operator=(const ResultFolder&) = delete;

  void keep();

 private:
  std::vector<std::filesystem::path> made_;  ///< The innermost last.
};

/// As long as it lives, stop_writing() of other threads waits: renames that belong together happen
/// all or not at all, as far as signals go.
class WritingLock {
 public:
  WritingLock();

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

/// Removes everything temporary of this process, and makes each later attempt to write or rename a
/// file wait for ever. For a program that dies next; not for signal handlers, but for a thread that
/// they wake.
void stop_writing() noexcept;

/// Removes from `folder` (not from folders in it) what killed processes left. Looks once per folder
/// and process; a folder that cannot be read is left alone.
void sweep_temporaries(const std::filesystem::path& folder) noexcept;

}  // namespace sam3trt
