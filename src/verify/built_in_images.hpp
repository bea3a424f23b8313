#pragma once

#include <cstdint>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

/// Images that need no file: drawn shapes, noise, and one grey level, which is what a camera gives
/// in the dark.
[[nodiscard]] std::vector<Image> built_in_images();

/// Size of the frames of the drawn clip, in pixels.
inline constexpr int64_t kClipWidth = 320;
inline constexpr int64_t kClipHeight = 240;

/// Where the disc and the square of the drawn clip are on a frame, in pixels: centres, and half of
/// their sides. They go to and fro in 20 frames, and the square is behind the disc around frames 5,
/// 15, 25 and so on.
struct ClipShapes {
  int64_t disc_x = 0;
  int64_t disc_y = 0;
  int64_t square_x = 0;
  int64_t square_y = 0;
  int64_t radius = 0;
};
[[nodiscard]] ClipShapes clip_shapes(int64_t frame);

/// Different images among the frames of the clip, so that a reference on the CPU need not encode
/// each frame.
inline constexpr size_t kClipImages = 11;

/// A frame of the drawn clip, from 0 on: the shapes of clip_shapes on a ground with structure.
[[nodiscard]] Image clip_frame(int64_t frame);

}  // namespace sam3trt
