#include "image_list.hpp"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <string_view>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// Also those that cannot be decoded: they are named as such instead of passed over.
constexpr std::array<std::string_view, 16> kEndings = {
    ".jpg", ".jpeg", ".jpe",  ".jfif", ".png",  ".webp", ".bmp", ".gif",
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2",  ".jxl", ".apng"};

bool has_image_ending(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

bool is_hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

void add_folder(const fs::path& folder, std::vector<ListedImage>& images) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (is_hidden(entry->path())) {
      if (entry->is_directory(ignored)) entry.disable_recursion_pending();
    } else if (has_image_ending(entry->path()) && !entry->is_directory(ignored)) {
      paths.push_back(entry->path());
    }
  }
  if (error) {
    throw_bad_input("--image " + folder.string() +
                    ": the folder cannot be read: " + error.message());
  }
  if (paths.empty()) {
    throw_bad_input("--image " + folder.string() +
                    ": there is no image in this folder (looked for .jpg, .png, .webp and other "
                    "image files, also in its folders)");
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) {
    images.push_back({path.string(), path.lexically_relative(folder)});
  }
}

std::vector<std::string> expand(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&::globfree)> owner(&found, &::globfree);
  const int result = ::glob(pattern.c_str(), 0, nullptr, &found);
  if (result == GLOB_NOMATCH) {
    throw_bad_input("--image " + pattern + ": there is no such file, and no file fits the pattern");
  }
  if (result != 0) throw Error(ErrorCode::kInternal, "--image " + pattern + ": cannot be expanded");
  return {found.gl_pathv, found.gl_pathv + found.gl_pathc};
}

void add_path(const std::string& path, std::vector<ListedImage>& images) {
  std::error_code error;
  if (fs::is_directory(path, error)) return add_folder(path, images);
  images.push_back({path, fs::path(path).filename()});
}

}  // namespace

std::vector<ListedImage> list_images(const std::vector<std::string>& given) {
  std::vector<ListedImage> images;
  for (const std::string& path : given) {
    std::error_code error;
    const bool exists = fs::exists(fs::symlink_status(path, error));
    if (exists || path.find_first_of("*?[") == std::string::npos) {
      add_path(path, images);
      continue;
    }
    for (const std::string& match : expand(path)) add_path(match, images);
  }
  const auto is_missing = [](const ListedImage& image) {
    std::error_code error;
    return !fs::exists(image.path, error);
  };
  if (std::ranges::all_of(images, is_missing)) {
    throw_bad_input("--image " + images.front().path + ": there is no such file" +
                    (images.size() == 1 ? "" : ", nor any other that is named"));
  }
  return images;
}

}  // namespace sam3trt
