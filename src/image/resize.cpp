#include "image/resize.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "image/resize_taps.hpp"

namespace sam3trt {
namespace {

/// Rounded to the nearest whole number, halves upwards.
int64_t half_up(double value) { return static_cast<int64_t>(std::floor(value + 0.5)); }

/// Rows are resized in groups, so that the inner loop runs over the channels of several rows.
constexpr size_t kGroup = 8;
constexpr size_t kLanes = kGroup * 3;

/// Copies pixel x of `rows` rows next to each other: target[x * kLanes + row * 3 + channel].
void gather_rows(const Image& image, int64_t first_row, size_t rows, std::vector<int16_t>& target) {
  for (size_t r = 0; r < rows; ++r) {
    const uint8_t* from = image.rgb.data() + image.offset(0, first_row + static_cast<int64_t>(r));
    int16_t* to = target.data() + r * 3;
    for (int64_t x = 0; x < image.width; ++x, from += 3, to += kLanes) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
}

Image resize_columns(const Image& image, int64_t width) {
  const ResizeTaps taps = make_resize_taps(image.width, width);
  Image result{width, image.height, {}};
  result.rgb.resize(static_cast<size_t>(width * image.height) * 3);
  std::vector<int16_t> lanes(static_cast<size_t>(image.width) * kLanes);
  for (int64_t y = 0; y < image.height; y += static_cast<int64_t>(kGroup)) {
    const size_t rows = std::min(kGroup, static_cast<size_t>(image.height - y));
    gather_rows(image, y, rows, lanes);
    for (int64_t x = 0; x < width; ++x) {
      const auto i = static_cast<size_t>(x);
      const int16_t* from = lanes.data() + static_cast<size_t>(taps.first[i]) * kLanes;
      const int16_t* weights = taps.weights.data() + x * taps.stride;
      int32_t sums[kLanes];
      std::fill_n(sums, kLanes, int32_t{1} << (taps.precision - 1));
      for (int64_t j = 0; j < taps.size[i]; ++j, from += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += from[lane] * weights[j];
      }
      for (size_t r = 0; r < rows; ++r) {
        uint8_t* to = result.rgb.data() + result.offset(x, y + static_cast<int64_t>(r));
        for (size_t c = 0; c < 3; ++c) to[c] = tap_sum_to_byte(sums[r * 3 + c], taps.precision);
      }
    }
  }
  return result;
}

Image resize_rows(const Image& image, int64_t height) {
  const ResizeTaps taps = make_resize_taps(image.height, height);
  Image result{image.width, height, {}};
  const auto row_size = static_cast<size_t>(image.width) * 3;
  result.rgb.resize(row_size * static_cast<size_t>(height));
  std::vector<int32_t> sums(row_size);
  for (int64_t y = 0; y < height; ++y) {
    const auto i = static_cast<size_t>(y);
    std::fill(sums.begin(), sums.end(), int32_t{1} << (taps.precision - 1));
    for (int64_t j = 0; j < taps.size[i]; ++j) {
      const uint8_t* from = image.rgb.data() + image.offset(0, taps.first[i] + j);
      const int32_t weight = taps.weights[static_cast<size_t>(y * taps.stride + j)];
      for (size_t k = 0; k < row_size; ++k) sums[k] += from[k] * weight;
    }
    uint8_t* to = result.rgb.data() + result.offset(0, y);
    for (size_t k = 0; k < row_size; ++k) to[k] = tap_sum_to_byte(sums[k], taps.precision);
  }
  return result;
}

std::vector<BilinearTap> make_bilinear_taps(int64_t in_size, int64_t out_size) {
  const float scale = static_cast<float>(in_size) / static_cast<float>(out_size);
  std::vector<BilinearTap> taps(static_cast<size_t>(out_size));
  for (int64_t i = 0; i < out_size; ++i) {
    taps[static_cast<size_t>(i)] = bilinear_tap(scale, i, in_size);
  }
  return taps;
}

/// Taps of one axis of the antialiased resize of floats; output i has weights[i * stride ...].
struct FloatTaps {
  std::vector<int64_t> first;
  std::vector<int64_t> size;
  std::vector<float> weights;
  int64_t stride = 0;
};

FloatTaps make_float_taps(int64_t in_size, int64_t out_size) {
  const float scale = static_cast<float>(in_size) / static_cast<float>(out_size);
  FloatTaps taps;
  taps.stride = static_cast<int64_t>(std::ceil(std::max(scale, 1.0F))) * 2 + 1;
  taps.weights.resize(static_cast<size_t>(out_size * taps.stride));
  for (int64_t i = 0; i < out_size; ++i) {
    int64_t first = 0;
    float* weights = taps.weights.data() + i * taps.stride;
    taps.size.push_back(float_taps(scale, i, in_size, taps.stride, first, weights));
    taps.first.push_back(first);
  }
  return taps;
}

size_t plane_size(int64_t height, int64_t width) {
  return height > 0 && width > 0 ? static_cast<size_t>(height) * static_cast<size_t>(width) : 0;
}

void check_planes(std::span<const float> source, size_t source_size, std::span<const float> target,
                  size_t target_size, const char* name) {
  if (source.empty() || target.empty() || source.size() != source_size ||
      target.size() != target_size) {
    throw Error(ErrorCode::kInternal, std::string(name) + ": sizes and buffers do not fit");
  }
}

}  // namespace

ResizeTaps make_resize_taps(int64_t in_size, int64_t out_size) {
  check_image_size(in_size, 1, "resize");
  check_image_size(out_size, 1, "resize");
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double support = std::max(scale, 1.0);
  const double inverse = 1.0 / support;
  ResizeTaps taps;
  taps.stride = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  taps.first.resize(static_cast<size_t>(out_size));
  taps.size.resize(static_cast<size_t>(out_size));
  std::vector<double> exact(static_cast<size_t>(out_size * taps.stride), 0.0);
  double largest = 0.0;
  for (int64_t i = 0; i < out_size; ++i) {
    const double center = scale * (static_cast<double>(i) + 0.5);
    const auto first = std::max(half_up(center - support), int64_t{0});
    const auto end = std::min(half_up(center + support), in_size);
    const int64_t size = std::clamp(end - first, int64_t{0}, taps.stride);
    double* weights = exact.data() + i * taps.stride;
    double total = 0.0;
    for (int64_t j = 0; j < size; ++j) {
      const double distance = std::abs((static_cast<double>(j + first) - center + 0.5) * inverse);
      weights[j] = std::max(1.0 - distance, 0.0);
      total += weights[j];
    }
    for (int64_t j = 0; j < size && total != 0.0; ++j) {
      weights[j] /= total;
      largest = std::max(largest, weights[j]);
    }
    taps.first[static_cast<size_t>(i)] = first;
    taps.size[static_cast<size_t>(i)] = size;
  }
  while (taps.precision < 22 && half_up(largest * (1 << (taps.precision + 1))) < (1 << 15)) {
    ++taps.precision;
  }
  taps.weights.resize(exact.size());
  std::transform(exact.begin(), exact.end(), taps.weights.begin(), [&](double weight) {
    return static_cast<int16_t>(half_up(weight * (1 << taps.precision)));
  });
  return taps;
}

Image resize_antialias(const Image& image, int64_t width, int64_t height) {
  check_image_size(image.width, image.height, "resize from");
  check_image_size(width, height, "resize to");
  if (image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
    throw_bad_input("resize: an image of " + std::to_string(image.width) + "x" +
                    std::to_string(image.height) + " pixels has " +
                    std::to_string(image.rgb.size()) + " bytes, expected 3 for each pixel");
  }
  if (width == image.width) return height == image.height ? image : resize_rows(image, height);
  if (height == image.height) return resize_columns(image, width);
  return resize_rows(resize_columns(image, width), height);
}

PixelTable make_pixel_table(double rescale_factor, const std::array<double, 3>& mean,
                            const std::array<double, 3>& std) {
  PixelTable table{};
  for (size_t c = 0; c < table.size(); ++c) {
    for (size_t v = 0; v < table[c].size(); ++v) {
      table[c][v] =
          static_cast<float>((static_cast<double>(v) * rescale_factor - mean[c]) / std[c]);
    }
  }
  return table;
}

Tensor to_pixel_values(const Image& image, double rescale_factor, const std::array<double, 3>& mean,
                       const std::array<double, 3>& std) {
  Tensor result(DType::kF32, {1, 3, image.height, image.width});
  const std::span<float> values = result.f32();
  const PixelTable table = make_pixel_table(rescale_factor, mean, std);
  const size_t plane = image.rgb.size() / 3;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t i = 0; i < plane; ++i) values[c * plane + i] = table[c][image.rgb[i * 3 + c]];
  }
  return result;
}

void resize_bilinear(std::span<const float> source, int64_t in_height, int64_t in_width,
                     std::span<float> target, int64_t out_height, int64_t out_width) {
  check_planes(source, plane_size(in_height, in_width), target, plane_size(out_height, out_width),
               "resize_bilinear");
  const std::vector<BilinearTap> rows = make_bilinear_taps(in_height, out_height);
  const std::vector<BilinearTap> columns = make_bilinear_taps(in_width, out_width);
  const auto width = static_cast<size_t>(out_width);

  // Each source row is spread over the output's columns once, when it is first needed.
  std::vector<float> spread[2] = {std::vector<float>(width), std::vector<float>(width)};
  int64_t spread_row[2] = {-1, -1};
  const auto row_at = [&](int64_t row) -> const float* {
    const auto slot = static_cast<size_t>(row % 2);
    if (spread_row[slot] != row) {
      const float* from = source.data() + row * in_width;
      for (size_t x = 0; x < width; ++x) {
        spread[slot][x] = columns[x].weight_low * from[columns[x].low] +
                          columns[x].weight_high * from[columns[x].high];
      }
      spread_row[slot] = row;
    }
    return spread[slot].data();
  };
  for (size_t y = 0; y < static_cast<size_t>(out_height); ++y) {
    const BilinearTap tap = rows[y];
    const float* low = row_at(tap.low);
    const float* high = row_at(tap.high);
    float* to = target.data() + y * width;
    for (size_t x = 0; x < width; ++x) {
      to[x] = tap.weight_low * low[x] + tap.weight_high * high[x];
    }
  }
}

void resize_bilinear_antialias(std::span<const float> source, int64_t in_height, int64_t in_width,
                               std::span<float> target, int64_t out_height, int64_t out_width) {
  check_planes(source, plane_size(in_height, in_width), target, plane_size(out_height, out_width),
               "resize_bilinear_antialias");
  const FloatTaps columns = make_float_taps(in_width, out_width);
  const FloatTaps rows = make_float_taps(in_height, out_height);
  const auto width = static_cast<size_t>(out_width);
  std::vector<float> narrow(static_cast<size_t>(in_height) * width);
  for (int64_t y = 0; y < in_height; ++y) {
    const float* from = source.data() + y * in_width;
    float* to = narrow.data() + static_cast<size_t>(y) * width;
    for (size_t x = 0; x < width; ++x) {
      const float* weights = columns.weights.data() + static_cast<int64_t>(x) * columns.stride;
      const float* taps = from + columns.first[x];
      const int64_t size = columns.size[x];
      float sum = size > 0 ? taps[0] * weights[0] : 0.0F;
      for (int64_t j = 1; j < size; ++j) {
        sum = add_tap(sum, taps[j], weights[j], is_fused_tap(j, size));
      }
      to[x] = sum;
    }
  }
  for (size_t y = 0; y < static_cast<size_t>(out_height); ++y) {
    float* to = target.data() + y * width;
    std::fill_n(to, width, 0.0F);
    const float* weights = rows.weights.data() + static_cast<int64_t>(y) * rows.stride;
    for (int64_t j = 0; j < rows.size[y]; ++j) {
      const float* from = narrow.data() + static_cast<size_t>(rows.first[y] + j) * width;
      const float weight = weights[j];
      if (is_fused_tap(j, rows.size[y])) {
        for (size_t x = 0; x < width; ++x) to[x] = add_tap(to[x], from[x], weight, true);
      } else {
        for (size_t x = 0; x < width; ++x) to[x] = add_tap(to[x], from[x], weight, false);
      }
    }
  }
}

}  // namespace sam3trt
