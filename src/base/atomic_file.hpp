#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace sam3trt {

/// A file written under a temporary name beside its final one and renamed by commit(). Without a
/// commit() the destructor removes it, so nothing half-written is ever left under the final name.
/// All members throw Error(kBadInput) when the folder cannot be written and Error(kInternal) when a
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

  /// Flushes to disk and renames. At most once.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int fd_ = -1;
  size_t size_ = 0;
};

}  // namespace sam3trt
