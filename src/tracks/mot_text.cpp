#include "tracks/mot_text.hpp"

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/lower.hpp"
#include "image/rle.hpp"
#include "tracks/label_map.hpp"

namespace sam3trt {
namespace {

/// Numbers of classes by their texts.
class Classes {
 public:
  int number(const std::optional<std::string>& prompt) {
    const std::string text = prompt ? lower(*prompt) : std::string();
    if (prompt && text == "car") return 1;
    if (prompt && (text == "person" || text == "pedestrian")) return 2;
    const auto [known, fresh] = numbers_.emplace(text, next_);
    if (fresh && ++next_ == kIgnore) ++next_;
    return known->second;
  }

 private:
  static constexpr int kIgnore = 10;
  std::map<std::string, int> numbers_;
  int next_ = 3;
};

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// Runs of each object without the pixels that another one has.
std::vector<std::string> apart(const std::vector<LineObject>& objects) {
  std::vector<std::vector<uint32_t>> runs;
  std::vector<MaskLayer> layers;
  runs.reserve(objects.size());
  layers.reserve(objects.size());
  for (const LineObject& object : objects) runs.push_back(rle_from_string(object.counts));
  for (size_t i = 0; i < runs.size(); ++i) layers.push_back({runs[i], objects[i].object_score});
  const int64_t width = objects.front().width;
  const int64_t height = objects.front().height;
  const std::vector<uint16_t> labels = label_map(layers, width, height);
  std::vector<int64_t> areas(objects.size() + 1);
  for (const uint16_t label : labels) ++areas[label];
  std::vector<std::string> texts;
  for (size_t i = 0; i < objects.size(); ++i) {
    if (areas[i + 1] == objects[i].area) {
      texts.push_back(objects[i].counts);
      continue;
    }
    std::vector<uint8_t> mask(labels.size());
    for (size_t p = 0; p < labels.size(); ++p) mask[p] = labels[p] == i + 1;
    texts.push_back(areas[i + 1] == 0 ? std::string()
                                      : rle_to_string(rle_counts(mask, height, width)));
  }
  return texts;
}

}  // namespace

void write_mot(const LineIndex& lines, const WriteText& write) {
  lines.each([&](const TrackLine& line) {
    for (const LineObject& object : line.objects) {
      if (object.area == 0) continue;
      std::string text = std::to_string(line.frame + 1) + "," + std::to_string(object.id);
      for (const double value : left_top_width_height(object.box)) {
        text += "," + number_text(value);
      }
      write(text + "," + number_text(object.score) + ",-1,-1,-1\n");
    }
  });
}

void write_mots(const LineIndex& lines, const WriteText& write) {
  Classes classes;
  lines.each([&](const TrackLine& line) {
    if (line.objects.empty()) return;
    const std::vector<std::string> masks = apart(line.objects);
    for (size_t i = 0; i < masks.size(); ++i) {
      const LineObject& object = line.objects[i];
      const int number = classes.number(object.prompt);
      if (masks[i].empty() || object.area == 0) continue;
      write(std::to_string(line.frame + 1) + " " + std::to_string(object.id) + " " +
            std::to_string(number) + " " + std::to_string(object.height) + " " +
            std::to_string(object.width) + " " + masks[i] + "\n");
    }
  });
}

}  // namespace sam3trt
