#include "overlay_writer.hpp"

#include <algorithm>
#include <cctype>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/lower.hpp"
#include "draw_result.hpp"
#include "image/encode.hpp"

namespace sam3trt {
OverlayWriter::OverlayWriter(std::filesystem::path target, const std::vector<ListedImage>& images,
                             OutputCheck& check)
    : target_(std::move(target)) {
  if (target_.empty()) return;
  const std::string option = "--overlay " + target_.string();
  is_file_ = names_one_file(option);
  if (is_file_) {
    if (images.size() > 1) {
      throw_bad_input(option + ": one file for " + std::to_string(images.size()) +
                      " images; name a folder");
    }
    if (!is_standard_output()) check.writes(target_, option);
    return;
  }
  check_output_folder(target_, option);
  std::map<std::filesystem::path, std::string> sources;
  for (const ListedImage& image : images) {
    const std::filesystem::path path = path_for(image);
    const auto [known, fresh] = sources.emplace(path, image.path);
    if (!fresh) {
      throw_bad_input(option + ": " + known->second + " and " + image.path +
                      " would both be drawn to " + path.string() +
                      "; rename one, or draw them in two runs");
    }
    check.writes_later(path, option + ": the overlay " + path.string());
  }
}

bool OverlayWriter::names_one_file(const std::string& option) const {
  std::error_code error;
  if (is_standard_output()) return true;
  const auto status = std::filesystem::status(target_, error);
  if (std::filesystem::is_directory(status)) return false;
  // Devices and pipes have no endings.
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return true;
  const std::string extension = lower(target_.extension().string());
  if (is_writable_extension(extension)) return true;
  // "run_0.5" is a folder, "out.tif" was meant to be a file.
  if (extension.size() > 1 && std::isalpha(static_cast<unsigned char>(extension[1])) != 0) {
    throw_bad_input(option +
                    ": overlays are written as PNG, JPEG or WebP: name a file that ends in " +
                    kWritableExtensions + ", or a folder with a / behind its name");
  }
  return false;
}

std::filesystem::path OverlayWriter::path_for(const ListedImage& image) const {
  if (is_file_) return target_;
  return target_ / image.in_folder.parent_path() / (image.in_folder.stem().string() + ".png");
}

void OverlayWriter::write(const ListedImage& listed, const Image& image,
                          const ImageResult& result) const {
  if (target_.empty()) return;
  const std::filesystem::path path = path_for(listed);
  const std::string extension = path.extension().string();
  // Devices, pipes and standard output have no endings.
  const auto bytes = encode_image(is_writable_extension(extension) ? extension : ".png",
                                  draw_result(image, result));
  if (is_standard_output()) {
    std::cout.write(reinterpret_cast<const char*>(bytes.data()),
                    static_cast<std::streamsize>(bytes.size()));
    return;
  }
  std::optional<ResultFolder> folder;
  if (!is_file_) folder.emplace(path.parent_path(), "--overlay " + target_.string());
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
  if (folder) folder->keep();
}

}  // namespace sam3trt
