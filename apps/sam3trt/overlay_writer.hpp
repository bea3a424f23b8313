#pragma once

#include <filesystem>
#include <vector>

#include "base/output_check.hpp"
#include "image/image.hpp"
#include "jobs/image_list.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// Draws results over their images: one PNG, JPEG or WebP file, or a folder with one PNG
/// per image.
class OverlayWriter {
 public:
  /// `target` ends in .png, .jpg, .jpeg or .webp, is a device or a pipe, is "-" for standard
  /// output, or names a folder (made when missing, with those in it that images of folders need);
  /// empty draws nothing. Throws Error(kBadInput) when one file is asked for several images, two
  /// images share a name, an overlay is one of the inputs, the name ends in another format's, or
  /// the file or folder cannot be written.
  OverlayWriter(std::filesystem::path target, const std::vector<ListedImage>& images,
                OutputCheck& check);

  /// Throws Error(kBadInput) or Error(kInternal) when this overlay cannot be written.
  void write(const ListedImage& listed, const Image& image, const ImageResult& result) const;

  [[nodiscard]] bool is_standard_output() const { return target_ == "-"; }

 private:
  [[nodiscard]] std::filesystem::path path_for(const ListedImage& image) const;
  [[nodiscard]] bool names_one_file(const std::string& option) const;

  std::filesystem::path target_;
  bool is_file_ = false;
};

}  // namespace sam3trt
