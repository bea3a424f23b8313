// overlay_bench PHOTO [FILE.png]: processor time (of one thread, so that other work on the machine
// matters little) to draw 40 masks with labels on 1920x1080 pixels of a photograph and to encode
// them: least and median of 15 runs after the first, which loads the fonts. With a second file name
// the drawn image is written there.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "image/encode.hpp"
#include "image/image.hpp"
#include "image/rle.hpp"
#include "overlay/overlay.hpp"

namespace {

using sam3trt::Image;

constexpr int64_t kWidth = 1920;
constexpr int64_t kHeight = 1080;
constexpr size_t kMasks = 40;

double milliseconds_since(std::clock_t begin) {
  return 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

/// The photograph over and over, every second one mirrored so that no seams show.
Image make_photo(const char* path) {
  const Image tile = sam3trt::read_image(path);
  const auto mirrored = [](int64_t at, int64_t size) {
    const int64_t place = at % (2 * size);
    return place < size ? place : 2 * size - 1 - place;
  };
  Image image{kWidth, kHeight, std::vector<uint8_t>(kWidth * kHeight * 3)};
  for (int64_t y = 0; y < kHeight; ++y) {
    for (int64_t x = 0; x < kWidth; ++x) {
      const size_t from = tile.offset(mirrored(x, tile.width), mirrored(y, tile.height));
      std::copy_n(tile.rgb.data() + from, 3, image.rgb.data() + image.offset(x, y));
    }
  }
  return image;
}

/// Blobs with wavy edges of about 60 to 200 pixels radius, spread over the image.
struct Blob {
  std::vector<uint32_t> counts;
  std::array<double, 4> box;
};

Blob make_blob(size_t index) {
  const double phase = static_cast<double>(index);
  const double x = 100.0 + std::fmod(phase * 411.0, kWidth - 200.0);
  const double y = 80.0 + std::fmod(phase * 233.0, kHeight - 160.0);
  const double size = 60.0 + std::fmod(phase * 37.0, 140.0);
  std::vector<uint8_t> mask(kWidth * kHeight, 0);
  Blob blob{{}, {1e9, 1e9, 0, 0}};
  const auto reach = [&](double center, int64_t limit, double sign) {
    return std::clamp<int64_t>(std::lround(center + sign * 1.25 * size), 0, limit);
  };
  for (int64_t row = reach(y, kHeight, -1.0); row < reach(y, kHeight, 1.0); ++row) {
    for (int64_t column = reach(x, kWidth, -1.0); column < reach(x, kWidth, 1.0); ++column) {
      const double dx = static_cast<double>(column) - x;
      const double dy = static_cast<double>(row) - y;
      const double angle = std::atan2(dy, dx);
      const double edge = size * (1.0 + 0.15 * std::sin(angle * 5.0 + phase) +
                                  0.05 * std::sin(angle * 17.0 - phase));
      if (std::hypot(dx, dy) > edge) continue;
      mask[static_cast<size_t>(row * kWidth + column)] = 1;
      blob.box = {std::min(blob.box[0], static_cast<double>(column)),
                  std::min(blob.box[1], static_cast<double>(row)),
                  std::max(blob.box[2], static_cast<double>(column + 1)),
                  std::max(blob.box[3], static_cast<double>(row + 1))};
    }
  }
  blob.counts = sam3trt::rle_counts(mask, kHeight, kWidth);
  return blob;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::puts("usage: overlay_bench PHOTO [FILE.png]");
    return 2;
  }
  const Image photo = make_photo(argv[1]);
  std::vector<Blob> blobs;
  for (size_t i = 0; i < kMasks; ++i) blobs.push_back(make_blob(i));
  std::vector<sam3trt::OverlayInstance> instances;
  for (size_t i = 0; i < kMasks; ++i) {
    char label[32];
    std::snprintf(label, sizeof label, "yellow taxi %.2f", 0.99 - 0.01 * static_cast<double>(i));
    instances.push_back({blobs[i].counts, blobs[i].box, sam3trt::palette_color(i), label});
  }
  constexpr int kRuns = 16;
  std::vector<double> drawing;
  std::vector<std::vector<double>> encoding(3);
  std::vector<size_t> sizes(3);
  const std::array<const char*, 3> extensions = {".jpg", ".webp", ".png"};
  Image drawn;
  double first = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    drawn = photo;
    auto begin = std::clock();
    sam3trt::draw_overlay(drawn, instances, {});
    if (run == 0) {
      first = milliseconds_since(begin);
    } else {
      drawing.push_back(milliseconds_since(begin));
    }
    for (size_t i = 0; i < extensions.size(); ++i) {
      begin = std::clock();
      sizes[i] = sam3trt::encode_image(extensions[i], drawn).size();
      encoding[i].push_back(milliseconds_since(begin));
    }
  }
  const double draw = least(drawing);
  std::printf("drawing: %.1f ms, median %.1f ms, the first time %.1f ms\n", draw, median(drawing),
              first);
  for (size_t i = 0; i < extensions.size(); ++i) {
    const double encode = least(encoding[i]);
    std::printf("%s: encoding %.1f ms, median %.1f ms, together %.1f ms, %zu bytes\n",
                extensions[i], encode, median(encoding[i]), draw + encode, sizes[i]);
  }
  if (argc > 2) {
    const auto bytes = sam3trt::encode_image(".png", drawn);
    std::ofstream(argv[2], std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
  }
  return 0;
}
