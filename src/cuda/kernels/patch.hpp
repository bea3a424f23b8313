#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/sixteen_bytes.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// The place of a cell of a grid of `side` x `side` where cells of a window follow one another.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline int32_t window_place(int32_t y, int32_t x, int32_t side,
                                                              int32_t window) {
  const int32_t before = y / window * (side / window) + x / window;  // windows
  return (before * window + y % window) * window + x % window;
}

/// Patches of images as rows of 16-bit floats.
struct PatchArgs {
  const float* pixels = nullptr;  ///< [B, C, side * patch, side * patch]
  uint16_t* result = nullptr;     ///< [B, side * side, columns], windows one after the other
  int32_t channels = 0;           ///< C, at most kMostPatchChannels
  int32_t patch = 0;              ///< At most kMostPatch.
  int32_t side = 0;               ///< Patches of a side.
  int32_t window = 0;             ///< Patches of a window's side.
  int32_t columns = 0;            ///< patch_columns(C * patch * patch)
  int32_t padding = 0;
};

/// Block (x, y, z) takes so many patches side by side, from x on, in row y of image z.
inline constexpr int kPatchesTogether = 8;

struct PatchRows {
  static constexpr int kMost =
      static_cast<int>(patch_columns(kMostPatchChannels * kMostPatch * kMostPatch));

  alignas(16) uint16_t values[kPatchesTogether * kMost];
};

/// Reads lines of pixels through all patches of the block.
template <typename Warp>
SAM3TRT_DEVICE void patch_load_body(const PatchArgs& args, KernelThread at, PatchRows& rows) {
  const int first = static_cast<int>(at.block_x) * kPatchesTogether;
  const int count = first + kPatchesTogether < args.side ? kPatchesTogether : args.side - first;
  const int lines = args.channels * args.patch;
  const int line = count * args.patch;
  const int64_t width = int64_t{args.side} * args.patch;
  const int64_t top = int64_t{at.block_y} * args.patch;
  for (int i = static_cast<int>(at.thread); i < lines * line;
       i += static_cast<int>(kBlockThreads)) {
    const int channel = i / line / args.patch;
    const int y = i / line % args.patch;
    const int x = i % line;
    const int64_t plane = int64_t{at.block_z} * args.channels + channel;
    const float value =
        args.pixels[(plane * width + top + y) * width + int64_t{first} * args.patch + x];
    rows.values[x / args.patch * args.columns + (channel * args.patch + y) * args.patch +
                x % args.patch] = static_cast<uint16_t>(Warp::pack(value, 0));
  }
  const int used = lines * args.patch;
  const int rest = args.columns - used;
  for (int i = static_cast<int>(at.thread); i < count * rest;
       i += static_cast<int>(kBlockThreads)) {
    rows.values[i / rest * args.columns + used + i % rest] = 0;
  }
}

SAM3TRT_DEVICE inline void patch_write_body(const PatchArgs& args, KernelThread at,
                                            PatchRows& rows) {
  const int first = static_cast<int>(at.block_x) * kPatchesTogether;
  const int count = first + kPatchesTogether < args.side ? kPatchesTogether : args.side - first;
  const int chunks = args.columns / 8;
  const auto* from = reinterpret_cast<const SixteenBytes*>(rows.values);
  for (int i = static_cast<int>(at.thread); i < count * chunks;
       i += static_cast<int>(kBlockThreads)) {
    const int32_t place =
        window_place(static_cast<int32_t>(at.block_y), first + i / chunks, args.side, args.window);
    const int64_t row = int64_t{at.block_z} * args.side * args.side + place;
    reinterpret_cast<SixteenBytes*>(args.result + row * args.columns)[i % chunks] = from[i];
  }
}

/// Rows of 16-bit floats, windows one after the other, to the order of a grid, twice.
struct WindowMapArgs {
  const uint16_t* input = nullptr;  ///< [B, side * side, columns]
  uint16_t* map = nullptr;          ///< The same, row by row.
  uint16_t* rows = nullptr;         ///< Again.
  int32_t side = 0;
  int32_t window = 0;
  int32_t columns = 0;  ///< A multiple of 8.
  int32_t padding = 0;
};

/// Thread (x, y) copies eight values of image y.
SAM3TRT_DEVICE inline void window_map_body(const WindowMapArgs& args, KernelThread at) {
  const int64_t chunks = args.columns / 8;
  const int64_t cells = int64_t{args.side} * args.side;
  const int64_t x = at.x();
  if (x >= cells * chunks) return;
  const auto cell = static_cast<int32_t>(x / chunks);
  const int32_t place = window_place(cell / args.side, cell % args.side, args.side, args.window);
  const int64_t image = int64_t{at.block_y} * cells;
  const auto* from = reinterpret_cast<const SixteenBytes*>(args.input);
  const SixteenBytes chunk = from[(image + place) * chunks + x % chunks];
  reinterpret_cast<SixteenBytes*>(args.map)[image * chunks + x] = chunk;
  reinterpret_cast<SixteenBytes*>(args.rows)[image * chunks + x] = chunk;
}

}  // namespace sam3trt
