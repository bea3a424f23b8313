#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sam3trt {

/// A regular file in a tar file.
struct TarEntry {
  std::string name;      ///< As the tar file has it.
  uint64_t index = 0;    ///< Among all entries, folders and links included, counted from 0.
  int64_t bytes = 0;     ///< Its size.
  int64_t modified = 0;  ///< Nanoseconds since 1970.
};

/// Reads a tar file from its beginning to its end, also one that gzip compressed.
/// Move-only. All members throw Error(kBadInput), naming the file, when it cannot be opened or is
/// damaged.
class TarFile {
 public:
  explicit TarFile(std::filesystem::path path);
  ~TarFile();
  TarFile(TarFile&&) noexcept;
  TarFile& operator=(TarFile&&) noexcept;
  TarFile(const TarFile&) = delete;
  TarFile& operator=(const TarFile&) = delete;

  /// The next regular file; nothing at the end.
  [[nodiscard]] std::optional<TarEntry> next();

  /// The content of the file that next() named last. At most once for each; throws
  /// Error(kBadInput) for one of more than 1 GiB.
  [[nodiscard]] std::vector<std::byte> read();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(void* opened) const;
  };
  [[noreturn]] void throw_damaged(const std::string& where) const;

  std::filesystem::path path_;
  std::unique_ptr<void, Closer> archive_;
  TarEntry entry_;
  uint64_t entries_ = 0;
};

/// Whether a file's name says that it is a tar file.
[[nodiscard]] bool has_tar_ending(const std::filesystem::path& path);

}  // namespace sam3trt
