#include "overlay_writer.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <string>
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
  for (const char* other : {".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}) {
    if (extension == other) throw_bad_input(option + ": overlays are PNG files; name one .png");
  }
  return extension == ".png";
}

std::filesystem::path OverlayWriter::path_for(const ListedImage& image) const {
  if (is_file_) return target_;
  return target_ / image.in_folder.parent_path() / (image.in_folder.stem().string() + ".png");
}

void OverlayWriter::write(const ListedImage& listed, const Image& image,
                          const ImageResult& result) const {
  if (target_.empty()) return;
  Image drawn = image;
  draw(drawn, result);
  const auto png = encode_png(drawn);
  if (is_standard_output()) {
    std::cout.write(reinterpret_cast<const char*>(png.data()),
                    static_cast<std::streamsize>(png.size()));
    return;
  }
  const std::filesystem::path path = path_for(listed);
  std::optional<ResultFolder> folder;
  if (!is_file_) folder.emplace(path.parent_path(), "--overlay " + target_.string());
  AtomicFile file(path);
  file.write(png);
  file.commit();
  if (folder) folder->keep();
}

}  // namespace sam3trt
