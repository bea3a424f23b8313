#include "jobs/image_list.hpp"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/lower.hpp"
#include "jobs/tar_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// Also those that cannot be decoded: they are named as such instead of passed over.
constexpr std::array<std::string_view, 16> kEndings = {
    ".jpg", ".jpeg", ".jpe",  ".jfif", ".png",  ".webp", ".bmp", ".gif",
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2",  ".jxl", ".apng"};

bool has_image_ending(const fs::path& path) {
  const std::string ending = lower(path.extension().string());
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

bool is_hidden(const fs::path& path) { return path.filename().native().starts_with('.'); }

/// Where an overlay of an entry goes: names from outside lead nowhere else.
fs::path inside(const fs::path& name) {
  fs::path result;
  for (const fs::path& part : name.relative_path().lexically_normal()) {
    if (part != ".." && part != ".") result /= part;
  }
  return result;
}

/// The images in a tar file; `in_folder` is its own, as in a ListedImage. False when there is none.
bool add_tar(const std::string& path, const fs::path& in_folder, std::vector<ListedImage>& images) {
  fs::path base = in_folder;
  while (base.has_extension()) base.replace_extension();
  const size_t before = images.size();
  try {
    TarFile tar(path);
    while (const std::optional<TarEntry> entry = tar.next()) {
      const fs::path name = inside(entry->name);
      if (is_hidden(name) || !has_image_ending(name)) continue;
      images.push_back({path + "/" + entry->name, base / name, path, entry->index});
    }
    return images.size() > before;
  } catch (const Error& error) {
    log(LogLevel::kWarning, error.what());
    images.push_back({path, in_folder, {}, 0});
    return true;
  }
}

void throw_no_image(const std::string& path) {
  throw_bad_input(path +
                  ": there is no image in this tar file (looked for .jpg, .png, .webp and "
                  "other image files)");
}

void add_folder(const fs::path& folder, const std::string& option,
                std::vector<ListedImage>& images) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    if (is_hidden(entry->path())) {
      if (entry->is_directory(ignored)) entry.disable_recursion_pending();
    } else if ((has_image_ending(entry->path()) || has_tar_ending(entry->path())) &&
               !entry->is_directory(ignored)) {
      paths.push_back(entry->path());
    }
  }
  if (error) {
    throw_bad_input(option + " " + folder.string() +
                    ": the folder cannot be read: " + error.message());
  }
  if (paths.empty()) {
    throw_bad_input(option + " " + folder.string() +
                    ": there is no image in this folder (looked for .jpg, .png, .webp and other "
                    "image files, also in its folders)");
  }
  std::ranges::sort(paths);
  for (const fs::path& path : paths) {
    const fs::path in_folder = path.lexically_relative(folder);
    if (has_tar_ending(path)) {
      static_cast<void>(add_tar(path.string(), in_folder, images));
    } else {
      images.push_back({path.string(), in_folder, {}, 0});
    }
  }
}

std::vector<std::string> expand(const std::string& pattern, const std::string& option) {
  glob_t found{};
  const std::unique_ptr<glob_t, decltype(&::globfree)> owner(&found, &::globfree);
  const int result = ::glob(pattern.c_str(), 0, nullptr, &found);
  if (result == GLOB_NOMATCH) {
    throw_bad_input(option + " " + pattern +
                    ": there is no such file, and no file fits the pattern");
  }
  if (result != 0)
    throw Error(ErrorCode::kInternal, option + " " + pattern + ": cannot be expanded");
  return {found.gl_pathv, found.gl_pathv + found.gl_pathc};
}

void add_path(const std::string& path, const std::string& option,
              std::vector<ListedImage>& images) {
  std::error_code error;
  if (fs::is_directory(path, error)) return add_folder(path, option, images);
  if (has_tar_ending(path) && fs::exists(path, error)) {
    if (!add_tar(path, fs::path(path).filename(), images)) throw_no_image(option + " " + path);
    return;
  }
  images.push_back({path, fs::path(path).filename(), {}, 0});
}

std::string read_all(std::istream& stream) {
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// A list's text.
std::string read_list(const std::string& file) {
  if (file == "-") return read_all(std::cin);
  std::ifstream stream(file, std::ios::binary);
  std::error_code error;
  if (!stream || fs::is_directory(file, error)) {
    throw_bad_input("--images-from " + file + ": there is no such file, or it cannot be read");
  }
  return read_all(stream);
}

}  // namespace

std::vector<ListedImage> list_images(const std::vector<std::string>& given,
                                     const std::string& option) {
  std::vector<ListedImage> images;
  for (const std::string& path : given) {
    std::error_code error;
    const bool exists = fs::exists(fs::symlink_status(path, error));
    if (exists || path.find_first_of("*?[") == std::string::npos) {
      add_path(path, option, images);
      continue;
    }
    for (const std::string& match : expand(path, option)) add_path(match, option, images);
  }
  const auto is_missing = [](const ListedImage& image) {
    std::error_code error;
    return image.archive.empty() && !fs::exists(image.path, error);
  };
  if (std::ranges::all_of(images, is_missing)) {
    throw_bad_input(option + " " + images.front().path + ": there is no such file" +
                    (images.size() == 1 ? "" : ", nor any other that is named"));
  }
  return images;
}

std::vector<ListedImage> read_image_list(const std::string& file) {
  const std::string text = read_list(file);
  const bool nul = text.find('\0') != std::string::npos;
  const char separator = nul ? '\0' : '\n';
  std::vector<ListedImage> images;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    std::string path = text.substr(begin, end - begin);
    begin = end + 1;
    if (!nul && path.ends_with('\r')) path.pop_back();
    if (path.empty()) continue;
    std::error_code error;
    if (has_tar_ending(path) && fs::exists(path, error)) {
      if (!add_tar(path, fs::path(path).filename(), images)) {
        throw_no_image("--images-from " + file + ": " + path);
      }
    } else {
      images.push_back({path, inside(path), {}, 0});
    }
  }
  if (images.empty()) throw_bad_input("--images-from " + file + ": the list names no image");
  return images;
}

std::vector<ListedImage> take_shard(std::vector<ListedImage> images, size_t index, size_t count) {
  std::vector<ListedImage> shard;
  for (size_t i = index; i < images.size(); i += count) shard.push_back(std::move(images[i]));
  return shard;
}

}  // namespace sam3trt
