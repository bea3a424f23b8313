#pragma once

#include <cstddef>
#include <cstdint>

namespace sam3trt {

/// How the pixels of an image lie in memory, 8 bits a channel. Alpha is dropped.
enum class PixelFormat {
  kRgb,
  kBgr,
  kRgba,
  kBgra,
  kGrey,
  kNv12,  ///< A plane of luma, then one of interleaved chroma of half the size, as video has it.
};

/// Whose memory an address is of.
enum class MemoryKind { kHost, kDevice };

/// How luma and chroma make a colour (ITU-R BT.601 and BT.709, video or full range).
enum class YuvColours { kBt601, kBt601Full, kBt709, kBt709Full };

/// Largest accepted image, in pixels, and the longest side; others are refused with a reason, in
/// files and in memory, on the CPU and on the GPU. The tables of a resize grow with the side.
inline constexpr int64_t kMaxImagePixels = int64_t{1} << 28;
inline constexpr int64_t kMaxImageSide = int64_t{1} << 16;

/// An image in memory of the caller, which must not change before the call that takes the view has
/// returned. Row y of pixels begins at data + y * row_stride.
struct ImageView {
  const void* data = nullptr;  ///< Of the host, or an address of the model's GPU.
  size_t size_bytes = 0;       ///< That may be read from `data` on; 0: not checked.
  int64_t width = 0;           ///< Pixels.
  int64_t height = 0;
  int64_t row_stride = 0;  ///< Bytes; 0: one row begins where the last one ends.
  PixelFormat format = PixelFormat::kRgb;
  MemoryKind memory = MemoryKind::kHost;

  /// A CUDA stream (CUstream or cudaStream_t) whose work writes the image; the session's work waits
  /// for what is in it. Null: the image is there; the default stream is CU_STREAM_LEGACY. Only for
  /// images in device memory.
  void* stream = nullptr;

  // NV12 only.
  const void* chroma = nullptr;  ///< Null: behind `height` rows of luma. Rows as those of luma.
  YuvColours colours = YuvColours::kBt709;
};

/// Bytes of one pixel; 1 for NV12, whose luma it is.
[[nodiscard]] constexpr int64_t bytes_per_pixel(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb:
    case PixelFormat::kBgr:
      return 3;
    case PixelFormat::kRgba:
    case PixelFormat::kBgra:
      return 4;
    case PixelFormat::kGrey:
    case PixelFormat::kNv12:
      return 1;
  }
  return 0;
}

}  // namespace sam3trt
