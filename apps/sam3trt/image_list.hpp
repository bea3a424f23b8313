#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace sam3trt {

/// One image of a run.
struct ListedImage {
  std::string path;                 ///< As given, or folder as given and the name in it.
  std::filesystem::path in_folder;  ///< File name, or the path from the folder that was given.
};

/// The images that `given` names, in that order: files, folders with all images in them and in
/// their folders (by the names' endings, sorted, without hidden ones), and patterns such as
/// "a/*.jpg" that name no file themselves. Throws Error(kBadInput) for a folder without images, for
/// a pattern that nothing fits, and when no file that is named exists at all; a missing one among
/// others is left to whoever reads it.
[[nodiscard]] std::vector<ListedImage> list_images(const std::vector<std::string>& given);

}  // namespace sam3trt
