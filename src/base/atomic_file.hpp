#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/output_target.hpp"
#include "base/temporary.hpp"

namespace sam3trt {

/// A file that is being written. A regular or new one is written under a temporary name in the
/// folder of its final one and renamed by commit(): nothing half-written ever has the final name,
/// and without a commit() nothing is left. It keeps the permissions, and as far as possible the
/// owner, of the file that it replaces; a new one has those that the umask leaves. Everything else
/// is written through (find_output_target says what is what).
///
/// All members throw Error(kBadInput) when the target cannot be written and Error(kInternal) when a
/// write fails (disk full), naming the path.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Bytes written so far.
  [[nodiscard]] size_t size() const { return size_; }
  /// As given.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const OutputTarget& target() const { return target_; }
  /// The temporary name, for another program that writes the content; not for what is written
  /// through.
  [[nodiscard]] const std::filesystem::path& temporary_path() const { return temporary_->path(); }

  /// Everything is on disk afterwards, so that commit() needs no more room. At most once.
  void flush();

  /// Renames, after a flush(). At most once.
  void commit();

 private:
  std::filesystem::path path_;
  OutputTarget target_;
  std::optional<TemporaryFile> temporary_;
  int fd_ = -1;  ///< Of temporary_, or opened here when written through.
  size_t size_ = 0;
  bool flushed_ = false;
};

/// Files that belong together and get their names together, in the order of add(). Until commit()
/// none of them is to be seen.
class AtomicFiles {
 public:
  AtomicFile& add(const std::filesystem::path& path);

  /// What `path` names now does not fit the new files: commit() removes it before it renames any.
  /// A crash on the way leaves it missing rather than beside files that it does not fit.
  void remove_first(const std::filesystem::path& path) { first_.push_back(path); }
  /// What is of no use any more when the new files have their names.
  void remove_last(const std::filesystem::path& path) { last_.push_back(path); }

  /// Flushes all, then renames. Returns the paths as given.
  std::vector<std::filesystem::path> commit();

 private:
  std::vector<std::unique_ptr<AtomicFile>> files_;
  std::vector<std::filesystem::path> first_;
  std::vector<std::filesystem::path> last_;
};

}  // namespace sam3trt
