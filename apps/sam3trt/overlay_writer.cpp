#include "overlay_writer.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "image/overlay.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

constexpr Color kPositive = {40, 200, 60};
constexpr Color kNegative = {220, 40, 40};

std::string label_of(const Prompt& prompt, const Instance& instance) {
  char score[16];
  std::snprintf(score, sizeof score, " %.2f", static_cast<double>(instance.score));
  return std::string(effective_text(prompt)) + score;
}

/// Masks first, worst instance first, then exemplar boxes and labels, so that nothing hides a
/// label.
void draw(Image& picture, const ImageResult& result) {
  size_t color = 0;
  for (const PromptResult& prompt : result.prompts) {
    for (size_t i = prompt.instances.size(); i-- > 0;) {
      const Instance& instance = prompt.instances[i];
      const auto mask = rle_decode(instance.counts, picture.height, picture.width);
      draw_instance(picture, mask, 0, 0, palette_color(color + i), "");
    }
    for (const PromptBox& entry : prompt.prompt.boxes) {
      draw_box(picture, entry.box, entry.positive ? kPositive : kNegative);
    }
    color += prompt.instances.size();
  }
  color = 0;
  for (const PromptResult& prompt : result.prompts) {
    for (size_t i = prompt.instances.size(); i-- > 0;) {
      const Instance& instance = prompt.instances[i];
      draw_label(picture, static_cast<double>(instance.box[0]),
                 static_cast<double>(instance.box[1]), palette_color(color + i),
                 label_of(prompt.prompt, instance));
    }
    color += prompt.instances.size();
  }
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

OverlayWriter::OverlayWriter(std::filesystem::path target, const std::vector<std::string>& images)
    : target_(std::move(target)) {
  if (target_.empty()) return;
  const std::string option = "--overlay " + target_.string() + ": ";
  std::error_code error;
  const std::string extension = lower(target_.extension().string());
  if (!std::filesystem::is_directory(target_, error)) {
    for (const char* other : {".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}) {
      if (extension == other) throw_bad_input(option + "overlays are PNG files; name one .png");
    }
    is_file_ = extension == ".png";
  }
  if (is_file_) {
    if (images.size() > 1) {
      throw_bad_input(option + "one file for " + std::to_string(images.size()) +
                      " images; name a folder");
    }
    const auto folder = std::filesystem::absolute(target_).parent_path();
    if (!std::filesystem::is_directory(folder, error)) {
      throw_bad_input(option + "there is no folder " + folder.string() + "; make it first");
    }
    return;
  }
  std::map<std::filesystem::path, std::string> sources;
  for (const std::string& image : images) {
    const auto [known, fresh] = sources.emplace(path_for(image), image);
    if (fresh) continue;
    throw_bad_input(option + known->second + " and " + image + " would both be drawn to " +
                    known->first.string() + "; rename one, or draw them in two runs");
  }
  std::filesystem::create_directories(target_, error);
  if (error) throw_bad_input(option + "the folder cannot be made: " + error.message());
}

std::filesystem::path OverlayWriter::path_for(const std::filesystem::path& image_path) const {
  return is_file_ ? target_ : target_ / (image_path.stem().string() + ".png");
}

void OverlayWriter::write(const std::filesystem::path& image_path, const Image& image,
                          const ImageResult& result) const {
  if (target_.empty()) return;
  Image picture = image;
  draw(picture, result);
  AtomicFile file(path_for(image_path));
  file.write(encode_png(picture));
  file.commit();
}

}  // namespace sam3trt
