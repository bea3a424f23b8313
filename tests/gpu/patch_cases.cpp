#include <random>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

struct PatchSizes {
  DType type;
  int64_t images;
  int64_t channels;
  int64_t patch;
  int64_t grid;
  int64_t window;
};

/// Patches that fill no block and more than one, of even and odd sides; columns with and without
/// zeros at their end.
const std::vector<PatchSizes> kPatchCases = {{DType::kF16, 2, 3, 14, 6, 3},
                                             {DType::kBF16, 1, 3, 16, 10, 5},
                                             {DType::kF16, 1, 1, 3, 12, 4},
                                             {DType::kBF16, 3, 2, 4, 4, 1},
                                             {DType::kF16, 1, 3, 5, 9, 9}};
const std::vector<PatchSizes> kPatchTimed = {{DType::kF16, 1, 3, 14, 72, 24},
                                             {DType::kF16, 8, 3, 14, 72, 24}};

/// Of a cell, counted window by window.
int64_t place_of(int64_t y, int64_t x, int64_t grid, int64_t window) {
  int64_t place = 0;
  for (int64_t wy = 0; wy < grid; wy += window) {
    for (int64_t wx = 0; wx < grid; wx += window) {
      for (int64_t i = wy; i < wy + window; ++i) {
        for (int64_t j = wx; j < wx + window; ++j, ++place) {
          if (i == y && j == x) return place;
        }
      }
    }
  }
  return -1;
}

CaseResult run_patches(const DeviceBench& bench, const OperatorKernels& kernels,
                       const PatchSizes& sizes) {
  const int64_t side = sizes.grid * sizes.patch;
  const int64_t columns = patch_columns(sizes.channels * sizes.patch * sizes.patch);
  std::mt19937 random(61);
  std::normal_distribution<float> normal;
  std::vector<float> pixels(static_cast<size_t>(sizes.images * sizes.channels * side * side));
  for (float& value : pixels) value = normal(random);
  const auto count = static_cast<size_t>(sizes.images * sizes.grid * sizes.grid * columns);
  const DeviceBuffer on_pixels = bench.upload(pixels);
  const DeviceBuffer on_result = bench.upload(std::vector<uint16_t>(count, 0xFFFF));  // NaN
  Patches call;
  call.type = sizes.type;
  call.pixels = on_pixels.data();
  call.result = on_result.data();
  call.images = sizes.images;
  call.channels = sizes.channels;
  call.patch = sizes.patch;
  call.grid = sizes.grid;
  call.window = sizes.window;

  CaseResult result;
  result.name = "patches " + std::string(name_of(sizes.type)) + " " + std::to_string(sizes.images) +
                " x " + std::to_string(sizes.channels) + " x " + std::to_string(side) + " by " +
                std::to_string(sizes.patch) + ", windows of " + std::to_string(sizes.window);
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto found = bench.download<uint16_t>(on_result, count);
  std::vector<uint16_t> wanted(count, 0);
  for (int64_t y = 0; y < side; ++y) {
    for (int64_t x = 0; x < side; ++x) {
      const int64_t place = place_of(y / sizes.patch, x / sizes.patch, sizes.grid, sizes.window);
      for (int64_t plane = 0; plane < sizes.images * sizes.channels; ++plane) {
        const int64_t row = plane / sizes.channels * sizes.grid * sizes.grid + place;
        const int64_t column =
            (plane % sizes.channels * sizes.patch + y % sizes.patch) * sizes.patch +
            x % sizes.patch;
        const float value = pixels[static_cast<size_t>((plane * side + y) * side + x)];
        wanted[static_cast<size_t>(row * columns + column)] =
            sizes.type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
      }
    }
  }
  for (size_t i = 0; i < count; ++i) result.differing += found[i] == wanted[i] ? 0 : 1;
  result.values = count;
  result.passed = result.differing == 0;
  return result;
}

struct MapSizes {
  int64_t images;
  int64_t grid;
  int64_t window;
  int64_t columns;
};

const std::vector<MapSizes> kMapCases = {
    {2, 6, 3, 24}, {1, 9, 9, 8}, {3, 4, 1, 160}, {1, 8, 4, 264}};
const std::vector<MapSizes> kMapTimed = {{1, 72, 24, 1024}, {8, 72, 24, 1024}};

CaseResult run_map(const DeviceBench& bench, const OperatorKernels& kernels,
                   const MapSizes& sizes) {
  const int64_t cells = sizes.grid * sizes.grid;
  const auto count = static_cast<size_t>(sizes.images * cells * sizes.columns);
  std::vector<uint16_t> input(count);
  for (size_t i = 0; i < count; ++i) input[i] = static_cast<uint16_t>(i * 40503U >> 4U);
  const DeviceBuffer on_input = bench.upload(input);
  const DeviceBuffer on_map = bench.upload(std::vector<uint16_t>(count));
  const DeviceBuffer on_rows = bench.upload(std::vector<uint16_t>(count));
  WindowMap call;
  call.input = on_input.data();
  call.map = on_map.data();
  call.rows = on_rows.data();
  call.images = sizes.images;
  call.grid = sizes.grid;
  call.window = sizes.window;
  call.columns = sizes.columns;

  CaseResult result;
  result.name = "window map " + std::to_string(sizes.images) + " x " + std::to_string(sizes.grid) +
                " x " + std::to_string(sizes.grid) + " x " + std::to_string(sizes.columns) +
                ", windows of " + std::to_string(sizes.window);
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto map = bench.download<uint16_t>(on_map, count);
  const auto rows = bench.download<uint16_t>(on_rows, count);
  for (int64_t cell = 0; cell < cells; ++cell) {
    const int64_t place = place_of(cell / sizes.grid, cell % sizes.grid, sizes.grid, sizes.window);
    for (int64_t image = 0; image < sizes.images; ++image) {
      for (int64_t k = 0; k < sizes.columns; ++k) {
        const auto to = static_cast<size_t>((image * cells + cell) * sizes.columns + k);
        const uint16_t wanted =
            input[static_cast<size_t>((image * cells + place) * sizes.columns + k)];
        if (map[to] != wanted || rows[to] != wanted) ++result.differing;
      }
    }
  }
  result.values = count;
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_patch_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kPatchCases, kPatchTimed,
            [&](const DeviceBench& bench, const PatchSizes& sizes) {
              report(run_patches(bench, kernels, sizes));
            });
  run_cases(device, options, kMapCases, kMapTimed,
            [&](const DeviceBench& bench, const MapSizes& sizes) {
              report(run_map(bench, kernels, sizes));
            });
}

}  // namespace sam3trt
