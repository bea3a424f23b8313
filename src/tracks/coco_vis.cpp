#include "tracks/coco_vis.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kBytesOfAFrame = 96;  ///< Beside the run lengths.

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// What is known of an object before its annotation is written.
struct Outline {
  size_t category = 0;  ///< From 1 on.
  size_t bytes = 0;
  double scores = 0;
  int64_t seen = 0;
};

struct Overview {
  std::vector<std::string> categories;
  std::map<int64_t, Outline> objects;
};

Overview look_over(const LineIndex& lines) {
  Overview overview;
  lines.each([&](const TrackLine& line) {
    for (const LineObject& object : line.objects) {
      Outline& outline = overview.objects[object.id];
      if (outline.category == 0) {
        const std::string name = object.prompt.value_or("object");
        auto& names = overview.categories;
        const auto found = std::ranges::find(names, name);
        outline.category = static_cast<size_t>(found - names.begin()) + 1;
        if (found == names.end()) names.push_back(name);
      }
      outline.bytes += object.counts.size() + kBytesOfAFrame;
      outline.scores += object.score;
      ++outline.seen;
    }
  });
  return overview;
}

/// Lists of an annotation, a frame at a time.
struct Lists {
  std::string masks;
  std::string boxes;
  std::string areas;
  int64_t frames = 0;

  void add(const std::string& mask, const std::string& box, const std::string& area) {
    const char* comma = frames++ == 0 ? "" : ",";
    masks += comma + mask;
    boxes += comma + box;
    areas += comma + area;
  }

  void skip_to(int64_t frame) {
    while (frames < frame) add("null", "null", "null");
  }
};

void write_group(const LineIndex& lines, int64_t length, std::map<int64_t, Lists>& group) {
  lines.each([&](const TrackLine& line) {
    for (const LineObject& object : line.objects) {
      const auto found = group.find(object.id);
      if (found == group.end() || object.area == 0 || found->second.frames > line.frame) continue;
      found->second.skip_to(line.frame);
      found->second.add(dump({{"size", {object.height, object.width}}, {"counts", object.counts}}),
                        dump(left_top_width_height(object.box)), std::to_string(object.area));
    }
  });
  for (auto& [id, lists] : group) lists.skip_to(length);
}

void write_annotation(int64_t id, const Outline& outline, const Lists& lists,
                      const VideoInfo& video, bool first, const WriteText& write) {
  const double score = outline.scores / static_cast<double>(std::max<int64_t>(outline.seen, 1));
  write(std::string(first ? "" : ",") + "\n{\"id\":" + std::to_string(id) +
        ",\"video_id\":1,\"category_id\":" + std::to_string(outline.category) +
        ",\"score\":" + dump(score) + ",\"iscrowd\":0,\"width\":" + std::to_string(video.width) +
        ",\"height\":" + std::to_string(video.height) +
        ",\"length\":" + std::to_string(lists.frames) + ",\"segmentations\":[");
  write(lists.masks);
  write("],\"bboxes\":[" + lists.boxes + "],\"areas\":[" + lists.areas + "]}");
}

}  // namespace

void write_coco_vis(const LineIndex& lines, const VideoInfo& video,
                    const std::function<std::string(int64_t)>& name_of, const WriteText& write,
                    size_t max_bytes) {
  const Overview overview = look_over(lines);
  const int64_t length = lines.frames();
  write("{\"info\":{},\"videos\":[{\"id\":1,\"width\":" + std::to_string(video.width) +
        ",\"height\":" + std::to_string(video.height) + ",\"length\":" + std::to_string(length) +
        ",\"file_names\":[");
  for (int64_t i = 0; i < length; ++i) write((i == 0 ? "" : ",") + dump(name_of(i) + ".jpg"));
  write("]}],\"categories\":[");
  for (size_t i = 0; i < overview.categories.size(); ++i) {
    write((i == 0 ? "" : ",") + dump({{"id", i + 1}, {"name", overview.categories[i]}}));
  }
  write("],\"annotations\":[");
  bool first = true;
  for (auto at = overview.objects.begin(); at != overview.objects.end();) {
    std::map<int64_t, Lists> group;
    size_t bytes = 0;
    for (auto next = at; next != overview.objects.end(); ++next) {
      bytes += next->second.bytes + static_cast<size_t>(length) * 15;  // three times "null,"
      if (!group.empty() && bytes > max_bytes) break;
      group[next->first];
    }
    write_group(lines, length, group);
    for (const auto& [id, lists] : group) {
      write_annotation(id, at->second, lists, video, first, write);
      first = false;
      ++at;
    }
  }
  write("]}\n");
}

}  // namespace sam3trt
