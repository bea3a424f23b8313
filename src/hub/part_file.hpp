#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace sam3trt {

/// The file FILE.part that a download appends to until it is complete. It outlives a failed
/// download, so that the next one goes on where this one ended. All members throw
/// Error(kInternal) that names the file when the disk is full or a write fails.
class PartFile {
 public:
  /// Opens or makes `target`.part, where links of `target` lead; throws Error(kBadInput) when that
  /// cannot be written or when another process is writing it.
  explicit PartFile(const std::filesystem::path& target);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  void append(std::span<const std::byte> bytes);

  /// Drops what has arrived.
  void clear();

  /// Flushes to disk and gives the file its final name.
  void commit();

  /// Deletes the file.
  void discard();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::filesystem::path target_;
  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace sam3trt
