#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// Draws results over their pictures: one PNG file, or a folder with one PNG per picture.
class OverlayWriter {
 public:
  /// `target` ends in .png or names a folder (made when missing); empty draws nothing. Throws
  /// Error(kBadInput) when one file is asked for several images or two images share a name.
  OverlayWriter(std::filesystem::path target, const std::vector<std::string>& images);

  void write(const std::filesystem::path& image_path, const Image& image,
             const ImageResult& result) const;

 private:
  [[nodiscard]] std::filesystem::path path_for(const std::filesystem::path& image_path) const;

  std::filesystem::path target_;
  bool is_file_ = false;
};

}  // namespace sam3trt
