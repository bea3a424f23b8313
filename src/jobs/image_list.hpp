#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sam3trt {

/// One image of a run.
struct ListedImage {
  std::string path;                 ///< As given; folder or tar file as given and the name in it.
  std::filesystem::path in_folder;  ///< File name, or the path from the folder that was given.
  std::string archive{};            ///< The tar file that it is in; empty: a file of its own.
  uint64_t entry = 0;               ///< Which entry of the tar file, counted from 0.
};

/// The images that `given` names, in that order: files, folders with all images and tar files in
/// them and in their folders (by the names' endings, sorted, without hidden ones), patterns such as
/// "a/*.jpg" that name no file themselves, and tar files (.tar, .tar.gz, .tgz) with the
/// images in them in their order. A tar file that is damaged gives the images before the damage and
/// itself as one that cannot be read. Throws Error(kBadInput) for a folder or a tar file without
/// images, for a pattern that nothing fits, and when no file that is named exists at all; a missing
/// one among others is left to whoever reads it. `option` named them.
[[nodiscard]] std::vector<ListedImage> list_images(const std::vector<std::string>& given,
                                                   const std::string& option = "--image");

/// The images that a list names, one path a line, or with NUL between them where there is one, as
/// `find -print0` writes; `file` "-" is standard input. Empty lines are left out; tar files give
/// the images in them, folders are images that cannot be read. Throws Error(kBadInput) for a list
/// that cannot be read or is empty.
[[nodiscard]] std::vector<ListedImage> read_image_list(const std::string& file);

/// Every `count`-th image, beginning with the `index`-th, counted from 0.
[[nodiscard]] std::vector<ListedImage> take_shard(std::vector<ListedImage> images, size_t index,
                                                  size_t count);

}  // namespace sam3trt
