#include "clips.hpp"

#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/mapped_file.hpp"
#include "image/rle.hpp"

namespace sam3trt::parity {

using nlohmann::json;

Image frame_of(const std::string& clip, int64_t frame) {
  std::ostringstream path;
  path << SAM3TRT_TINY_CHECKPOINTS << "/clips/" << clip << '/' << std::setw(5) << std::setfill('0')
       << frame << ".png";
  return decode_image(read_file(path.str()), path.str());
}

ObjectPrompt object_of(const json& entry) {
  ObjectPrompt prompt;
  prompt.id = entry.at("id");
  const json none = json::array();
  const json& points = entry.contains("points") ? entry.at("points") : none;
  for (size_t i = 0; i < points.size(); ++i) {
    prompt.points.push_back(
        {points[i].at(0), points[i].at(1), entry.at("point_labels").at(i) == 1});
  }
  if (entry.contains("box")) prompt.box = entry.at("box").get<PixelBox>();
  if (entry.contains("mask")) {
    const json& mask = entry.at("mask");
    prompt.mask = ObjectMask{mask.at("size").at(1), mask.at("size").at(0),
                             rle_from_string(mask.at("counts").get<std::string>())};
  }
  return prompt;
}

double mask_iou(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  size_t both = 0;
  size_t either = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    both += static_cast<size_t>(a[i] != 0 && b[i] != 0);
    either += static_cast<size_t>(a[i] != 0 || b[i] != 0);
  }
  return either == 0 ? 1.0 : static_cast<double>(both) / static_cast<double>(either);
}

}  // namespace sam3trt::parity
