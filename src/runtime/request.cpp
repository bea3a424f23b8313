#include "runtime/request.hpp"

#include <cmath>

#include "base/error.hpp"
#include "image/pack_pixels.hpp"

namespace sam3trt {

void check_image(const ImageView& image) {
  if (image.data == nullptr) throw_bad_input("a request has no image");
  const std::string size = std::to_string(image.width) + "x" + std::to_string(image.height);
  check_image_size(image.width, image.height, "a request");
  const int64_t row = image.width * bytes_per_pixel(image.format);
  constexpr int64_t kMaxStride = int64_t{1} << 32U;
  if (image.row_stride != 0 && (image.row_stride < row || image.row_stride > kMaxStride)) {
    throw_bad_input("an image of " + size + " pixels has a row stride of " +
                    std::to_string(image.row_stride) + " bytes; expected 0 or at least " +
                    std::to_string(row));
  }
  if (image.stream != nullptr && image.memory == MemoryKind::kHost) {
    throw_bad_input("an image in host memory names a stream; only those in device memory do");
  }
  if (image.size_bytes == 0) return;
  const PackedSource source(image);
  if (image.size_bytes >= static_cast<size_t>(source.bytes)) return;
  throw_bad_input("an image of " + size + " pixels holds " + std::to_string(image.size_bytes) +
                  " bytes; expected " + std::to_string(source.bytes));
}

void check_thresholds(const Thresholds& thresholds) {
  if (std::isfinite(thresholds.score) && std::isfinite(thresholds.mask)) return;
  throw_bad_input("a threshold must be a number from 0 to 1");
}

Image to_image(const ImageView& view) {
  if (view.memory != MemoryKind::kHost) {
    throw_bad_input("an image lies in device memory, and this model runs on the CPU");
  }
  Image image{view.width, view.height, {}};
  image.rgb.resize(static_cast<size_t>(view.width * view.height) * 3);
  PackArgs args = PackedSource(view).arguments();
  args.target = image.rgb.data();
  for (int64_t y = 0; y < view.height; ++y) {
    for (int64_t x = 0; x < view.width; ++x) pack_pixel(args, x, y);
  }
  return image;
}

}  // namespace sam3trt
