#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace sam3trt {

/// A whole file mapped read-only into memory. Move-only; throws Error(kBadInput) when the file
/// cannot be opened or is not a regular file. An empty file gives an empty span.
///
/// Checkpoints, graphs and engines are mapped, because they are read in parts and are larger than
/// what should be copied. Should another program truncate such a file meanwhile, reading beyond its
/// new end ends the process with SIGBUS: files that are replaced while they are in use must be
/// replaced by renaming, as AtomicFile does. What comes from anywhere, such as images, is read with
/// read_file instead.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// The bytes of a regular file, copied: whatever happens to it later. Throws Error(kBadInput) when
/// the file cannot be opened, is not a regular file or is larger than 1 GiB, and Error(kInternal)
/// when reading fails.
[[nodiscard]] std::vector<std::byte> read_file(const std::filesystem::path& path);

}  // namespace sam3trt
