#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/image_list.hpp"
#include "jobs/tar_file.hpp"
#include "runtime/result.hpp"
#include "sam3trt/image.hpp"

namespace sam3trt {

/// An image file as it was read, not decoded.
struct ImageFile {
  ListedImage listed;
  bool is_read = false;  ///< Otherwise it is a file of its own that decode_image_file reads.
  std::vector<std::byte> bytes{};
  std::optional<FileStamp> stamp{};
  std::optional<std::string> error{};  ///< Why it cannot be read.
};

/// Hands out the images of a list in their order. Those in tar files are read here, because a tar
/// file is read from its beginning to its end; files are left to whoever decodes them. One call at
/// a time.
class ImageSource {
 public:
  explicit ImageSource(std::span<const ListedImage> images) : images_(images) {}

  /// The next one; nothing at the end.
  [[nodiscard]] std::optional<ImageFile> next();

 private:
  void read_entry(ImageFile& file);

  std::span<const ListedImage> images_;
  size_t next_ = 0;
  std::optional<TarFile> tar_;
  std::string damaged_;  ///< A tar file that cannot be read on, and why.
  std::string reason_;
  std::optional<TarEntry> entry_;
};

/// Reads the file, unless it is read, and decodes it; sets the stamp. Throws Error(kBadInput) for
/// what is not an image.
[[nodiscard]] Image decode_image_file(ImageFile& file);

/// The stamp of a file as it is now; nothing when it is not there.
[[nodiscard]] std::optional<FileStamp> stamp_of(const std::string& path);

}  // namespace sam3trt
