#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

constexpr float kEpsilon = 1e-5F;

/// Numbers of a 16-bit type, and what they are.
struct Numbers {
  std::vector<uint16_t> bits;
  std::vector<double> values;
};

double value_of(DType type, uint16_t bits) {
  return static_cast<double>(type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits));
}

Numbers numbers(DType type, int64_t count, float scale, float shift, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Numbers result;
  for (int64_t i = 0; i < count; ++i) {
    const float value = scale * normal(random) + shift;
    result.bits.push_back(type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value));
    result.values.push_back(value_of(type, result.bits.back()));
  }
  return result;
}

std::vector<float> floats(int64_t count, float scale, float shift, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> result(static_cast<size_t>(count));
  for (float& value : result) value = scale * normal(random) + shift;
  return result;
}

/// Counts a value that is further from what is wanted than rounding and float32 sums explain.
void compare(CaseResult& result, DType type, uint16_t bits, double wanted) {
  const double step = type == DType::kF16 ? 4.9e-4 : 3.9e-3;  // half a step
  const double difference = std::abs(value_of(type, bits) - wanted);
  result.largest = larger(result.largest, difference);
  ++result.values;
  if (!(difference <= std::abs(wanted) * step * 1.01 + 4e-6)) ++result.differing;
}

DeviceBuffer upload_nan(const DeviceBench& bench, int64_t count) {
  return bench.upload(std::vector<uint16_t>(static_cast<size_t>(count), 0xFFFF));
}

struct GatheredSizes {
  DType type;
  int64_t blocks;
  int64_t block;
  int64_t columns;
  std::vector<int64_t> index;
};

/// An index outside the blocks counts as 0.
const std::vector<GatheredSizes> kGathered = {
    {DType::kF16, 3, 5, 256, {2, 0}},  {DType::kBF16, 2, 3, 96, {1, 1, 0}},
    {DType::kF16, 1, 1, 8, {0}},       {DType::kBF16, 2, 2, 1032, {1}},
    {DType::kF16, 2, 3, 2048, {0, 1}}, {DType::kF16, 2, 3, 32, {-1, 2, 1}}};
const std::vector<GatheredSizes> kGatheredTimed = {{DType::kF16, 1, 5184, 256, {0}},
                                                   {DType::kF16, 4, 5184, 256, {3, 1, 0, 2}}};

CaseResult run_gathered(const DeviceBench& bench, const OperatorKernels& kernels,
                        const GatheredSizes& sizes) {
  const Numbers input =
      numbers(sizes.type, sizes.blocks * sizes.block * sizes.columns, 2, 0.5F, 31);
  const std::vector<float> gain = floats(sizes.columns, 0.2F, 1, 32);
  const std::vector<float> shift = floats(sizes.columns, 0.3F, 0, 33);
  const auto indices = static_cast<int64_t>(sizes.index.size());
  const int64_t count = indices * sizes.block * sizes.columns;
  const DeviceBuffer on_input = bench.upload(input.bits);
  const DeviceBuffer on_index = bench.upload(sizes.index);
  const DeviceBuffer on_gain = bench.upload(gain);
  const DeviceBuffer on_shift = bench.upload(shift);
  const DeviceBuffer on_result = upload_nan(bench, count);
  const DeviceBuffer on_gathered = upload_nan(bench, count);
  GatheredNorm call;
  call.type = sizes.type;
  call.input = on_input.data();
  call.index = on_index.data();
  call.gain = on_gain.data();
  call.shift = on_shift.data();
  call.result = on_result.data();
  call.gathered = on_gathered.data();
  call.epsilon = kEpsilon;
  call.blocks = sizes.blocks;
  call.block = sizes.block;
  call.indices = indices;
  call.columns = sizes.columns;

  CaseResult result;
  result.name = "gathered norm " + std::string(name_of(sizes.type)) + " " +
                std::to_string(indices) + " of " + std::to_string(sizes.blocks) + " x " +
                std::to_string(sizes.block) + " x " + std::to_string(sizes.columns);
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto found = bench.download<uint16_t>(on_result, static_cast<size_t>(count));
  const auto gathered = bench.download<uint16_t>(on_gathered, static_cast<size_t>(count));
  const auto columns = static_cast<size_t>(sizes.columns);
  for (int64_t row = 0; row < indices * sizes.block; ++row) {
    const int64_t wanted = sizes.index[static_cast<size_t>(row / sizes.block)];
    const int64_t block = wanted < 0 || wanted >= sizes.blocks ? 0 : wanted;
    const auto from = static_cast<size_t>(block * sizes.block + row % sizes.block) * columns;
    const auto to = static_cast<size_t>(row) * columns;
    double mean = 0;
    double squares = 0;
    for (size_t k = 0; k < columns; ++k) {
      if (gathered[to + k] != input.bits[from + k]) ++result.differing;
      mean += input.values[from + k] / static_cast<double>(columns);
    }
    for (size_t k = 0; k < columns; ++k) squares += std::pow(input.values[from + k] - mean, 2);
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(columns) + static_cast<double>(kEpsilon));
    for (size_t k = 0; k < columns; ++k) {
      compare(result, sizes.type, found[to + k],
              (input.values[from + k] - mean) * scale * static_cast<double>(gain[k]) +
                  static_cast<double>(shift[k]));
    }
  }
  result.passed = result.differing == 0;
  return result;
}

struct SumSizes {
  DType type;
  int64_t images;
  int64_t channels;
  int64_t height;
  int64_t width;
  std::vector<int64_t> index;
};

/// Channels and pixels that fill no tile; other heights than widths.
const std::vector<SumSizes> kSums = {{DType::kF16, 2, 8, 2, 4, {1, 0, 1}},
                                     {DType::kF16, 1, 72, 12, 12, {0}},
                                     {DType::kBF16, 3, 64, 4, 18, {2, 5}},
                                     {DType::kF16, 1, 128, 8, 8, {-1, 0}},
                                     {DType::kBF16, 1, 256, 6, 4, {0}}};
const std::vector<SumSizes> kSumsTimed = {{DType::kF16, 1, 256, 144, 144, {0}},
                                          {DType::kF16, 1, 256, 288, 288, {0}},
                                          {DType::kF16, 1, 256, 288, 288, {0, 0, 0, 0}}};

CaseResult run_sum(const DeviceBench& bench, const OperatorKernels& kernels,
                   const SumSizes& sizes) {
  const auto rows = static_cast<int64_t>(sizes.index.size());
  const int64_t area = sizes.height * sizes.width;
  const Numbers coarse = numbers(sizes.type, rows * area / 4 * sizes.channels, 1, 0, 41);
  const Numbers level = numbers(sizes.type, sizes.images * area * sizes.channels, 2, 1, 42);
  const int64_t count = rows * area * sizes.channels;
  const DeviceBuffer on_coarse = bench.upload(coarse.bits);
  const DeviceBuffer on_level = bench.upload(level.bits);
  const DeviceBuffer on_index = bench.upload(sizes.index);
  const DeviceBuffer on_result = upload_nan(bench, count);
  UpsampledSum call;
  call.type = sizes.type;
  call.coarse = on_coarse.data();
  call.level = on_level.data();
  call.index = on_index.data();
  call.result = on_result.data();
  call.rows = rows;
  call.images = sizes.images;
  call.channels = sizes.channels;
  call.height = sizes.height;
  call.width = sizes.width;

  CaseResult result;
  result.name = "enlarged sum " + std::string(name_of(sizes.type)) + " " + std::to_string(rows) +
                " of " + std::to_string(sizes.images) + " x " + std::to_string(sizes.channels) +
                " x " + std::to_string(sizes.height) + " x " + std::to_string(sizes.width);
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto found = bench.download<uint16_t>(on_result, static_cast<size_t>(count));
  for (int64_t at = 0; at < count; ++at) {
    const int64_t channel = at % sizes.channels;
    const int64_t pixel = at / sizes.channels % area;
    const int64_t row = at / sizes.channels / area;
    const int64_t y = pixel / sizes.width / 2;
    const int64_t x = pixel % sizes.width / 2;
    const int64_t above = (row * sizes.height / 2 + y) * (sizes.width / 2) + x;
    const int64_t wanted = sizes.index[static_cast<size_t>(row)];
    const int64_t image = wanted < 0 || wanted >= sizes.images ? 0 : wanted;
    compare(
        result, sizes.type, found[static_cast<size_t>(at)],
        coarse.values[static_cast<size_t>(above * sizes.channels + channel)] +
            level.values[static_cast<size_t>((image * sizes.channels + channel) * area + pixel)]);
  }
  result.passed = result.differing == 0;
  return result;
}

struct GroupSizes {
  DType type;
  int64_t rows;
  int64_t pixels;
  int64_t channels;
  int64_t groups;
  float shift;  ///< Of the input, whose deviation is 1.
};

/// Groups that are half a thread's channels, more than its, and all; fewer pixels than shares and
/// more; means that are large beside the deviation.
const std::vector<GroupSizes> kGroups = {
    {DType::kF16, 2, 40, 32, 8, 0},    {DType::kF16, 1, 300, 96, 8, 0.5F},
    {DType::kBF16, 2, 161, 64, 8, -1}, {DType::kF16, 1, 700, 256, 8, 30},
    {DType::kF16, 3, 1, 8, 1, 0},      {DType::kBF16, 1, 130, 40, 5, 3},
    {DType::kF16, 1, 9, 2048, 32, 0}};
const std::vector<GroupSizes> kGroupsTimed = {{DType::kF16, 1, 144 * 144, 256, 8, 0.3F},
                                              {DType::kF16, 1, 288 * 288, 256, 8, 0.3F},
                                              {DType::kF16, 4, 288 * 288, 256, 8, 0.3F}};

CaseResult run_groups(const DeviceBench& bench, const OperatorKernels& kernels,
                      const GroupSizes& sizes) {
  const int64_t count = sizes.rows * sizes.pixels * sizes.channels;
  const Numbers input = numbers(sizes.type, count, 1, sizes.shift, 51);
  const std::vector<float> gain = floats(sizes.channels, 0.2F, 1, 52);
  const std::vector<float> shift = floats(sizes.channels, 0.3F, 0, 53);
  GroupNorm call;
  call.type = sizes.type;
  call.epsilon = kEpsilon;
  call.rows = sizes.rows;
  call.pixels = sizes.pixels;
  call.channels = sizes.channels;
  call.groups = sizes.groups;
  const DeviceBuffer on_input = bench.upload(input.bits);
  const DeviceBuffer on_gain = bench.upload(gain);
  const DeviceBuffer on_shift = bench.upload(shift);
  const DeviceBuffer on_result = upload_nan(bench, count);
  const DeviceBuffer on_scratch = bench.make<std::byte>(call.scratch_bytes());
  call.input = on_input.data();
  call.gain = on_gain.data();
  call.shift = on_shift.data();
  call.result = on_result.data();
  call.scratch = on_scratch.data();

  CaseResult result;
  result.name = "group norm " + std::string(name_of(sizes.type)) + " " +
                std::to_string(sizes.rows) + " x " + std::to_string(sizes.pixels) + " x " +
                std::to_string(sizes.channels) + " in " + std::to_string(sizes.groups) +
                " groups, mean " + std::to_string(static_cast<int>(sizes.shift));
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto found = bench.download<uint16_t>(on_result, static_cast<size_t>(count));
  const int64_t of_group = sizes.channels / sizes.groups;
  const auto size = static_cast<double>(sizes.pixels * of_group);
  for (int64_t row = 0; row < sizes.rows; ++row) {
    for (int64_t group = 0; group < sizes.groups; ++group) {
      const auto for_each = [&](const auto& use) {
        for (int64_t pixel = 0; pixel < sizes.pixels; ++pixel) {
          for (int64_t k = group * of_group; k < (group + 1) * of_group; ++k) {
            use(static_cast<size_t>((row * sizes.pixels + pixel) * sizes.channels + k),
                static_cast<size_t>(k));
          }
        }
      };
      double mean = 0;
      double variance = 0;
      for_each([&](size_t at, size_t) { mean += input.values[at] / size; });
      for_each([&](size_t at, size_t) { variance += std::pow(input.values[at] - mean, 2) / size; });
      const double scale = 1 / std::sqrt(variance + static_cast<double>(kEpsilon));
      for_each([&](size_t at, size_t channel) {
        const double wanted =
            (input.values[at] - mean) * scale * static_cast<double>(gain[channel]) +
            static_cast<double>(shift[channel]);
        compare(result, sizes.type, found[at], std::max(wanted, 0.0));
      });
    }
  }
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_pixel_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kGathered, kGatheredTimed,
            [&](const DeviceBench& bench, const GatheredSizes& sizes) {
              report(run_gathered(bench, kernels, sizes));
            });
  run_cases(device, options, kSums, kSumsTimed,
            [&](const DeviceBench& bench, const SumSizes& sizes) {
              report(run_sum(bench, kernels, sizes));
            });
  run_cases(device, options, kGroups, kGroupsTimed,
            [&](const DeviceBench& bench, const GroupSizes& sizes) {
              report(run_groups(bench, kernels, sizes));
            });
}

}  // namespace sam3trt
