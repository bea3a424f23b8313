// What stands between the mask head's convolutions and at both ends of the vision encoder: what
// OperatorKernels needs to know of pixel.hpp and patch.hpp in kernels.
#include <array>
#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/attention.hpp"
#include "cuda/kernels/patch.hpp"
#include "cuda/kernels/pixel.hpp"
#include "cuda/operators.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMostGrid = 65535;               // CUDA's limit of a grid in y and z
constexpr int64_t kMostPixels = int64_t{1} << 30;  // that int32 numbers hold, with what is added
constexpr int64_t kMostChannels = int64_t{kBlockThreads} * kPixelChannels;

bool is_map(int64_t rows, int64_t pixels, int64_t channels) {
  return rows > 0 && rows <= kMostGrid && pixels > 0 && pixels <= kMostPixels && channels > 0 &&
         channels <= kMostChannels && channels % kPixelChannels == 0;
}

bool is_grid(int64_t grid, int64_t window) {
  constexpr int64_t kMostSide = 1 << 12;
  return grid > 0 && grid <= kMostSide && window > 0 && grid % window == 0;
}

[[noreturn]] void refuse(const std::string& what, int64_t rows, int64_t pixels, int64_t channels) {
  throw Error(ErrorCode::kInternal, what + " of " + std::to_string(rows) + " maps of " +
                                        std::to_string(pixels) + " pixels with " +
                                        std::to_string(channels) + " channels");
}

}  // namespace

bool UpsampledSum::fits() const {
  constexpr int64_t kMostSide = 1 << 15;
  return height > 0 && height <= kMostSide && width > 0 && width <= kMostSide && height % 2 == 0 &&
         width % 2 == 0 && height * width % 8 == 0 && images > 0 && images <= kMostPixels &&
         is_map(rows, height * width, channels);
}

bool GroupNorm::fits() const {
  return is_map(rows, pixels, channels) && groups > 0 && groups <= kMostNormGroups &&
         channels % (groups * kGroupColumns) == 0;
}

bool Patches::fits() const {
  return images > 0 && images <= kMostGrid && channels > 0 && channels <= kMostPatchChannels &&
         patch > 0 && patch <= kMostPatch && is_grid(grid, window);
}

bool WindowMap::fits() const {
  return is_grid(grid, window) && is_map(images, grid * grid, columns);
}

uint64_t GroupNorm::scratch_bytes() const {
  return static_cast<uint64_t>(rows * kNormShares * groups * 2) * sizeof(float);
}

void OperatorKernels::load_pixels() {
  for (size_t t = 0; t < kTypes; ++t) {
    const std::string name = kTypeNames[t];
    pixel_functions_[t] = {kernel(library_, "sam3trt_patches_" + name),
                           kernel(library_, "sam3trt_upsampled_sum_" + name),
                           kernel(library_, "sam3trt_group_sums_" + name),
                           kernel(library_, "sam3trt_group_norm_" + name)};
  }
  window_map_ = kernel(library_, "sam3trt_window_map");
}

void OperatorKernels::launch(const UpsampledSum& s, void* stream) const {
  if (!s.fits()) refuse("an enlarged sum", s.rows, s.height * s.width, s.channels);
  UpsampledSumArgs args;
  args.coarse = device_pointer<const uint16_t>(s.coarse);
  args.level = device_pointer<const uint16_t>(s.level);
  args.image = device_pointer<const int64_t>(s.index);
  args.result = device_pointer<uint16_t>(s.result);
  args.images = static_cast<int32_t>(s.images);
  args.channels = static_cast<int32_t>(s.channels);
  args.height = static_cast<int32_t>(s.height);
  args.width = static_cast<int32_t>(s.width);
  start(pixel_functions_[index_of(s.type)].upsampled_sum,
        {tiles_of<int64_t>(s.height * s.width, kSumPixels),
         tiles_of<int64_t>(s.channels, kSumChannels), s.rows},
        kBlockThreads, stream, &args);
}

void OperatorKernels::launch(const GroupNorm& n, void* stream) const {
  if (!n.fits()) refuse("the normalisation", n.rows, n.pixels, n.channels);
  GroupNormArgs args;
  args.input = device_pointer<const uint16_t>(n.input);
  args.gain = device_pointer<const float>(n.gain);
  args.shift = device_pointer<const float>(n.shift);
  args.sums = device_pointer<float>(n.scratch);
  args.result = device_pointer<uint16_t>(n.result);
  args.epsilon = n.epsilon;
  args.pixels = static_cast<int32_t>(n.pixels);
  args.channels = static_cast<int32_t>(n.channels);
  args.groups = static_cast<int32_t>(n.groups);
  const PixelFunctions& functions = pixel_functions_[index_of(n.type)];
  start(functions.group_sums, {kNormShares, n.rows, 1}, kBlockThreads, stream, &args);
  start(functions.group_norm, {tiles_of<int64_t>(n.pixels, kNormPixels), n.rows, 1}, kBlockThreads,
        stream, &args);
}

void OperatorKernels::launch(const Patches& p, void* stream) const {
  if (!p.fits()) refuse("patches", p.images, p.grid * p.patch * p.grid * p.patch, p.channels);
  PatchArgs args;
  args.pixels = device_pointer<const float>(p.pixels);
  args.result = device_pointer<uint16_t>(p.result);
  args.channels = static_cast<int32_t>(p.channels);
  args.patch = static_cast<int32_t>(p.patch);
  args.side = static_cast<int32_t>(p.grid);
  args.window = static_cast<int32_t>(p.window);
  args.columns = static_cast<int32_t>(patch_columns(p.channels * p.patch * p.patch));
  start(pixel_functions_[index_of(p.type)].patches,
        {tiles_of<int64_t>(p.grid, kPatchesTogether), p.grid, p.images}, kBlockThreads, stream,
        &args);
}

void OperatorKernels::launch(const WindowMap& m, void* stream) const {
  if (!m.fits()) refuse("windows", m.images, m.grid * m.grid, m.columns);
  WindowMapArgs args;
  args.input = device_pointer<const uint16_t>(m.input);
  args.map = device_pointer<uint16_t>(m.map);
  args.rows = device_pointer<uint16_t>(m.rows);
  args.side = static_cast<int32_t>(m.grid);
  args.window = static_cast<int32_t>(m.window);
  args.columns = static_cast<int32_t>(m.columns);
  start(window_map_,
        {tiles_of<int64_t>(m.grid * m.grid * (m.columns / kPixelChannels), kBlockThreads), m.images,
         1},
        kBlockThreads, stream, &args);
}

}  // namespace sam3trt
