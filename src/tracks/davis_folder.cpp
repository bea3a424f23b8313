#include "tracks/davis_folder.hpp"

#include <utility>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/log.hpp"
#include "image/palette_png.hpp"
#include "tracks/label_map.hpp"

namespace sam3trt {

DavisFolder::DavisFolder(std::filesystem::path folder, const std::string& what)
    : folder_(std::move(folder)), made_(folder_, what) {}

void DavisFolder::add(const FrameResult& frame, const std::string& name) {
  std::vector<MaskLayer> layers;
  std::vector<uint8_t> indices = {0};
  for (const TrackedObject& object : frame.objects) {
    if (object.id >= 1 && object.id <= 255) {
      layers.push_back({object.counts, object.object_score});
      indices.push_back(static_cast<uint8_t>(object.id));
    } else if (!std::exchange(warned_, true)) {
      log(LogLevel::kWarning,
          folder_.string() + ": the object " + std::to_string(object.id) +
              " is left out: DAVIS's images name objects by a byte, so ids from 1 to 255");
    }
  }
  const std::vector<uint16_t> labels = label_map(layers, frame.width, frame.height);
  std::vector<uint8_t> pixels(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) pixels[i] = indices[labels[i]];
  AtomicFile file(folder_ / (name + ".png"));
  file.write(encode_palette_png(pixels, frame.width, frame.height));
  file.commit();
  made_.keep();
}

}  // namespace sam3trt
