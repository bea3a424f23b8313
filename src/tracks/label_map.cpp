#include "tracks/label_map.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

void paint(std::span<const uint32_t> counts, uint16_t label, int64_t width, int64_t height,
           std::vector<uint16_t>& labels) {
  const auto rows = static_cast<uint64_t>(height);
  const auto columns = static_cast<uint64_t>(width);
  uint64_t position = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const uint64_t end = position + counts[i];
    if (end > rows * columns) break;
    if (i % 2 == 0) {
      position = end;
      continue;
    }
    for (; position < end; ++position) {
      labels[position % rows * columns + position / rows] = label;
    }
  }
  if (position != rows * columns) {
    throw_bad_input("a mask's runs do not fill the image of " + std::to_string(width) + "x" +
                    std::to_string(height) + " pixels");
  }
}

}  // namespace

std::vector<uint16_t> label_map(std::span<const MaskLayer> masks, int64_t width, int64_t height) {
  if (masks.size() >= std::numeric_limits<uint16_t>::max()) {
    throw Error(ErrorCode::kInternal, "label_map: too many masks");
  }
  std::vector<size_t> order(masks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return masks[a].score > masks[b].score; });
  std::vector<uint16_t> labels(static_cast<size_t>(width * height));
  for (size_t i = order.size(); i-- > 0;) {
    paint(masks[order[i]].counts, static_cast<uint16_t>(order[i] + 1), width, height, labels);
  }
  return labels;
}

}  // namespace sam3trt
