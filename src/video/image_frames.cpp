#include "video/image_frames.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/lower.hpp"
#include "jobs/tar_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// Of files that hold one image. Animations (.gif, .apng) are ffmpeg's.
constexpr std::array<std::string_view, 13> kStillEndings = {
    ".jpg", ".jpeg", ".jpe",  ".jfif", ".png",  ".webp", ".bmp",
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The place of a number in a pattern such as "a/%05d.png".
struct NumberPattern {
  std::string before;
  std::string after;
};

std::optional<NumberPattern> number_pattern(const std::string& source) {
  const size_t begin = source.rfind('%');
  if (begin == std::string::npos || source.find('/', begin) != std::string::npos) {
    return std::nullopt;
  }
  size_t end = begin + 1;
  while (end < source.size() && is_digit(source[end])) ++end;
  if (end == source.size() || source[end] != 'd') return std::nullopt;
  return NumberPattern{source.substr(0, begin), source.substr(end + 1)};
}

bool is_glob(const std::string& source) { return source.find_first_of("*?[") != std::string::npos; }

/// The files that fit, by their number.
std::vector<ListedImage> expand(const NumberPattern& pattern, const std::string& what) {
  const fs::path before(pattern.before);
  const fs::path folder = before.has_parent_path() ? before.parent_path() : fs::path(".");
  const std::string name_begin = before.filename().string();
  std::vector<std::pair<uint64_t, std::string>> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() <= name_begin.size() + pattern.after.size()) continue;
    if (!name.starts_with(name_begin) || !name.ends_with(pattern.after)) continue;
    const char* const digits = name.data() + name_begin.size();
    const char* const last = name.data() + name.size() - pattern.after.size();
    uint64_t number = 0;
    const auto [at, failed] = std::from_chars(digits, last, number);
    if (failed != std::errc() || at != last) continue;
    found.emplace_back(number,
                       pattern.before.substr(0, pattern.before.size() - name_begin.size()) + name);
  }
  if (found.empty()) throw_bad_input(what + ": no file fits the pattern");
  std::ranges::sort(found);
  std::vector<ListedImage> images;
  for (auto& [number, path] : found) {
    const fs::path name = fs::path(path).filename();
    images.push_back({std::move(path), name, {}, 0});
  }
  return images;
}

std::vector<ListedImage> list_frames(const std::string& source, const std::string& option) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(source, error))) {
    const auto pattern = number_pattern(source);
    if (pattern) return expand(*pattern, option + " " + source);
  }
  std::vector<ListedImage> images = list_images({source}, option);
  // Images of a tar file are read in its order.
  const auto is_packed = [](const ListedImage& image) { return !image.archive.empty(); };
  if (std::ranges::any_of(images, is_packed)) return images;
  std::ranges::stable_sort(
      images, [](const ListedImage& a, const ListedImage& b) { return is_before(a.path, b.path); });
  return images;
}

/// The images' names as those of frames; empty when two share one.
std::vector<std::string> names_of(const std::vector<ListedImage>& images) {
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const ListedImage& image : images) {
    names.push_back(image.in_folder.stem().string());
    if (!known.insert(names.back()).second) return {};
  }
  return names;
}

}  // namespace

bool is_image_source(const std::string& source) {
  std::error_code error;
  const fs::file_status status = fs::status(source, error);
  if (fs::is_directory(status)) return true;
  if (fs::exists(status) && !fs::is_regular_file(status)) return false;
  if (!fs::exists(status)) {
    if (source.find("://") != std::string::npos) return false;
    return is_glob(source) || number_pattern(source).has_value();
  }
  const std::string ending = lower(fs::path(source).extension().string());
  return std::ranges::find(kStillEndings, ending) != kStillEndings.end() || has_tar_ending(source);
}

bool is_before(std::string_view a, std::string_view b) {
  const std::pair whole(a, b);
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const auto take = [](std::string_view& text) {
        while (text.size() > 1 && text[0] == '0' && is_digit(text[1])) text.remove_prefix(1);
        size_t size = 0;
        while (size < text.size() && is_digit(text[size])) ++size;
        const std::string_view number = text.substr(0, size);
        text.remove_prefix(size);
        return number;
      };
      const std::string_view x = take(a);
      const std::string_view y = take(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      continue;
    }
    if (a.front() != b.front()) {
      return static_cast<unsigned char>(a.front()) < static_cast<unsigned char>(b.front());
    }
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole.first < whole.second;  // "01" and "1"
}

ImageFrames::ImageFrames(const std::string& source, const std::string& option,
                         const FrameOrder& order)
    : images_(list_frames(source, option)),
      first_(order.first.value_or(order.backward ? static_cast<int64_t>(images_.size()) - 1 : 0)),
      step_(order.backward ? -1 : 1),
      names_(names_of(images_)),
      source_({}) {
  info_.path = source;
  info_.frames = static_cast<int64_t>(images_.size());
  info_.length = info_.frames;
  info_.estimate = info_.frames;
  if (first_ < 0 || first_ >= *info_.frames) {
    throw_bad_input(option + " " + source + ": has no frame " + std::to_string(first_) +
                    ", only 0 to " + std::to_string(*info_.frames - 1));
  }
  if (order.backward) {
    images_.resize(static_cast<size_t>(first_) + 1);
    std::ranges::reverse(images_);
  } else {
    images_.erase(images_.begin(), images_.begin() + first_);
  }
  source_ = ImageSource(images_);
  find_size();
}

VideoFrame ImageFrames::read_frame() {
  VideoFrame frame;
  frame.index = first_ + step_ * static_cast<int64_t>(taken_++);
  try {
    ImageFile file = *source_.next();
    frame.image = decode_image_file(file);
  } catch (const Error& error) {
    frame.error = error.what();
  }
  return frame;
}

void ImageFrames::find_size() {
  while (taken_ < images_.size()) {
    waiting_.push_back(read_frame());
    const VideoFrame& frame = waiting_.back();
    if (frame.error) continue;
    info_.width = frame.image.width;
    info_.height = frame.image.height;
    return;
  }
  throw_bad_input(*waiting_.front().error +
                  (waiting_.size() == 1 ? std::string()
                                        : "; nor can any other of the " +
                                              std::to_string(waiting_.size()) + " images be read"));
}

std::optional<VideoFrame> ImageFrames::next() {
  if (!waiting_.empty()) {
    VideoFrame frame = std::move(waiting_.front());
    waiting_.pop_front();
    return frame;
  }
  if (taken_ == images_.size()) return std::nullopt;
  return read_frame();
}

std::string ImageFrames::name_of(int64_t frame) const {
  if (names_.empty()) return FrameSource::name_of(frame);
  return names_.at(static_cast<size_t>(frame));
}

std::vector<std::string> ImageFrames::files() const {
  std::vector<std::string> files;
  std::string archive;
  for (const ListedImage& image : images_) {
    if (image.archive.empty()) {
      files.push_back(image.path);
    } else if (image.archive != archive) {
      archive = image.archive;
      files.push_back(archive);
    }
  }
  return files;
}

}  // namespace sam3trt
