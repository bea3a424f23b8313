#pragma once

#include <array>
#include <cstdint>

#include "base/host_device.hpp"
#include "sam3trt/image_view.hpp"

namespace sam3trt {

/// An image of any format to packed RGB. Pointers are of the memory of whoever runs it.
struct PackArgs {
  const uint8_t* source = nullptr;
  const uint8_t* chroma = nullptr;  ///< NV12
  int64_t stride = 0;               ///< Bytes from row to row, of chroma too.
  int32_t width = 0;
  int32_t height = 0;
  PixelFormat format = PixelFormat::kRgb;
  int32_t black = 0;  ///< Luma of black.
  int32_t luma = 0;   ///< Factors times 65536.
  int32_t red_v = 0;
  int32_t green_u = 0;
  int32_t green_v = 0;
  int32_t blue_u = 0;
  uint8_t* target = nullptr;  ///< height x width x 3
};

/// A sum of products with factors times 65536, rounded, within 0..255.
SAM3TRT_HOST_DEVICE inline uint8_t clamped_channel(int64_t value) {
  const int64_t rounded = (value + 32768) >> 16;
  return static_cast<uint8_t>(rounded < 0 ? 0 : (rounded > 255 ? 255 : rounded));
}

SAM3TRT_HOST_DEVICE inline void pack_pixel(const PackArgs& args, int64_t x, int64_t y) {
  uint8_t* to = args.target + (y * args.width + x) * 3;
  const uint8_t* row = args.source + y * args.stride;
  switch (args.format) {
    case PixelFormat::kRgb:
    case PixelFormat::kRgba: {
      const uint8_t* from = row + x * (args.format == PixelFormat::kRgb ? 3 : 4);
      for (int i = 0; i < 3; ++i) to[i] = from[i];
      return;
    }
    case PixelFormat::kBgr:
    case PixelFormat::kBgra: {
      const uint8_t* from = row + x * (args.format == PixelFormat::kBgr ? 3 : 4);
      for (int i = 0; i < 3; ++i) to[i] = from[2 - i];
      return;
    }
    case PixelFormat::kGrey:
      for (int i = 0; i < 3; ++i) to[i] = row[x];
      return;
    case PixelFormat::kNv12: {
      const uint8_t* pair = args.chroma + (y / 2) * args.stride + (x / 2) * 2;
      const int64_t luma = static_cast<int64_t>(row[x] - args.black) * args.luma;
      const int64_t u = pair[0] - 128;
      const int64_t v = pair[1] - 128;
      to[0] = clamped_channel(luma + v * args.red_v);
      to[1] = clamped_channel(luma - u * args.green_u - v * args.green_v);
      to[2] = clamped_channel(luma + u * args.blue_u);
      return;
    }
  }
}

/// Where an image's bytes lie; the view was checked, or is about to be.
struct PackedSource {
  explicit PackedSource(const ImageView& view)
      : view(view),
        stride(view.row_stride != 0 ? view.row_stride
                                    : view.width * bytes_per_pixel(view.format) +
                                          (view.format == PixelFormat::kNv12 ? view.width % 2 : 0)),
        bytes((view.height - 1) * stride + view.width * bytes_per_pixel(view.format)) {
    if (view.format != PixelFormat::kNv12 || view.chroma != nullptr) return;
    bytes = view.height * stride + chroma_bytes();
  }

  /// Of an NV12 image's plane of chroma.
  [[nodiscard]] int64_t chroma_bytes() const {
    return ((view.height + 1) / 2 - 1) * stride + (view.width + 1) / 2 * 2;
  }

  /// Packed RGB without gaps: nothing is to be done.
  [[nodiscard]] bool is_packed() const {
    return view.format == PixelFormat::kRgb && stride == view.width * 3;
  }

  /// For a source that lies where the view says; the target is left out.
  [[nodiscard]] PackArgs arguments() const {
    PackArgs args;
    args.source = static_cast<const uint8_t*>(view.data);
    args.chroma = view.chroma != nullptr ? static_cast<const uint8_t*>(view.chroma)
                                         : args.source + view.height * stride;
    args.stride = stride;
    args.width = static_cast<int32_t>(view.width);
    args.height = static_cast<int32_t>(view.height);
    args.format = view.format;
    // ITU-R BT.601-7 and BT.709-6 with Kr, Kb = 0.299, 0.114 and 0.2126, 0.0722: R = Y + 2(1-Kr)V,
    // B = Y + 2(1-Kb)U, G = (Y - Kr R - Kb B) / Kg; video range is 219 steps of luma from 16 on and
    // 224 of chroma. Times 65536.
    static constexpr std::array<std::array<int32_t, 6>, 4> kFactors = {
        {{16, 76309, 104597, 25675, 53279, 132201},
         {0, 65536, 91881, 22553, 46802, 116130},
         {16, 76309, 117489, 13975, 34925, 138438},
         {0, 65536, 103206, 12276, 30679, 121609}}};
    const auto& factors = kFactors[static_cast<size_t>(view.colours)];
    args.black = factors[0];
    args.luma = factors[1];
    args.red_v = factors[2];
    args.green_u = factors[3];
    args.green_v = factors[4];
    args.blue_u = factors[5];
    return args;
  }

  ImageView view;
  int64_t stride;
  int64_t bytes;  ///< From `data` on.
};

}  // namespace sam3trt
