#include <bit>
#include <random>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/tensor.hpp"
#include "cuda/kernels.hpp"
#include "device_bench.hpp"
#include "runtime/resized_planes.hpp"

namespace sam3trt {
namespace {

using Report = std::function<void(const CaseResult&)>;

class Bench : public DeviceBench {
 public:
  Bench(const CudaDevice& device, const CaseOptions& options)
      : DeviceBench(device, options), kernels_(device) {}

  [[nodiscard]] const KernelLibrary& kernels() const { return kernels_; }

 private:
  KernelLibrary kernels_;
};

constexpr KernelFloat kTypes[] = {KernelFloat::kF32, KernelFloat::kF16, KernelFloat::kBF16};

std::string name_of_type(KernelFloat type) {
  return type == KernelFloat::kF32 ? "f32" : type == KernelFloat::kF16 ? "f16" : "bf16";
}

/// Bytes of floats of a type, given by the bits of a float32 or of the type itself.
std::vector<uint8_t> bytes_of(const std::vector<uint32_t>& values, KernelFloat type) {
  std::vector<uint8_t> bytes;
  for (const uint32_t value : values) {
    for (int i = 0; i < (type == KernelFloat::kF32 ? 4 : 2); ++i) {
      bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }
  }
  return bytes;
}

float float_of(uint32_t bits, KernelFloat type) {
  if (type == KernelFloat::kF32) return std::bit_cast<float>(bits);
  const auto half = static_cast<uint16_t>(bits);
  return type == KernelFloat::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

uint32_t bits_of(float value, KernelFloat type) {
  if (type == KernelFloat::kF32) return std::bit_cast<uint32_t>(value);
  return type == KernelFloat::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
}

/// Any bits, but finite numbers in every row but `broken`, which ends with an infinity. Rows of all
/// 65536 have each 16-bit float, NaN included, once.
std::vector<uint32_t> some_bits(KernelFloat type, size_t rows, size_t count, size_t broken) {
  std::mt19937 random(static_cast<unsigned>(rows * 977 + count));
  const auto any_bits = [&] { return static_cast<uint32_t>(random()); };
  std::vector<uint32_t> bits(rows * count);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (count == 1U << 16U) {
      bits[i] = static_cast<uint32_t>(i % count);
      if (type == KernelFloat::kF32) bits[i] = bits[i] << 16U | (any_bits() & 3U) << 14U;
      continue;
    }
    do {
      bits[i] = type == KernelFloat::kF32 ? any_bits() : any_bits() & 0xFFFFU;
    } while (!std::isfinite(float_of(bits[i], type)));
  }
  if (broken < rows) bits[(broken + 1) * count - 1] = bits_of(INFINITY, type);
  return bits;
}

std::string case_name(const char* kernel, KernelFloat type, size_t rows, size_t count) {
  return std::string(kernel) + " " + name_of_type(type) + " " + std::to_string(rows) + "x" +
         std::to_string(count);
}

/// Slots in another order than rows, each followed by memory that is not to be touched.
struct Slots {
  Slots(const Bench& bench, size_t rows, size_t count)
      : stride((count + 15) / 8 * 8),
        memory(bench.upload(std::vector<uint16_t>(rows * stride, kUntouched))) {
    for (size_t row = 0; row < rows; ++row) places.push_back((row * 7 + 3) % rows * stride);
    if (rows % 7 == 0) {
      for (size_t row = 0; row < rows; ++row) places[row] = row * stride;
    }
    for (const size_t place : places) {
      addresses.push_back(memory.data() + place * sizeof(uint16_t));
    }
  }

  static constexpr uint16_t kUntouched = 0xA5A5;
  size_t stride;
  DeviceBuffer memory;
  std::vector<size_t> places;
  std::vector<DevicePointer> addresses;
};

CaseResult keep_case(const Bench& bench, KernelFloat type, size_t rows, size_t count) {
  const size_t broken = rows / 2;
  const std::vector<uint32_t> bits = some_bits(type, rows, count, broken);
  const DeviceBuffer source = bench.upload(bytes_of(bits, type));
  const Slots slots(bench, rows, count);
  const DeviceBuffer table = bench.upload(slots.addresses);
  const DeviceBuffer flags = bench.upload(std::vector<int32_t>(rows));
  KeepArgs args;
  args.source = device_pointer<const void>(source.data());
  args.slots = device_pointer<uint16_t* const>(table.data());
  args.broken = device_pointer<int32_t>(flags.data());
  args.rows = static_cast<int64_t>(rows);
  args.count = static_cast<int64_t>(count);
  args.type = type;
  CaseResult result;
  result.name = case_name("keep", type, rows, count);
  result.microseconds = bench.run([&] { bench.kernels().keep_rows(bench.stream(), args); });
  const auto found = bench.download<uint16_t>(slots.memory, rows * slots.stride);
  std::vector<uint16_t> wanted(found.size(), Slots::kUntouched);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < count; ++i) {
      wanted[slots.places[row] + i] = f32_to_bf16(float_of(bits[row * count + i], type));
    }
  }
  for (size_t i = 0; i < found.size(); ++i, ++result.values) {
    result.differing += found[i] == wanted[i] ? 0 : 1;
  }
  const auto flagged = bench.download<int32_t>(flags, rows);
  for (size_t row = 0; row < rows; ++row, ++result.values) {
    const bool any = row == broken || count == 1U << 16U;
    result.differing += (flagged[row] != 0) == any ? 0 : 1;
  }
  result.passed = result.differing == 0;
  return result;
}

CaseResult gather_case(const Bench& bench, KernelFloat type, size_t rows, size_t count) {
  const std::vector<uint32_t> bits = some_bits(KernelFloat::kBF16, rows, count, rows);
  const Slots slots(bench, rows, count);
  std::vector<uint16_t> kept(rows * slots.stride, Slots::kUntouched);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = 0; i < count; ++i) {
      kept[slots.places[row] + i] = static_cast<uint16_t>(bits[row * count + i]);
    }
  }
  copy_to_device(bench.stream(), slots.memory.data(), std::as_bytes(std::span(kept)));
  std::vector<DevicePointer> asked = slots.addresses;
  asked.push_back(asked.front());  // twice
  asked.push_back(0);              // zeros
  const DeviceBuffer table = bench.upload(asked);
  const size_t size = type == KernelFloat::kF32 ? 4 : 2;
  const size_t bytes = asked.size() * count * size;
  const DeviceBuffer target = bench.upload(std::vector<uint8_t>(bytes + 16, 0xA5));
  GatherArgs args;
  args.slots = device_pointer<const uint16_t* const>(table.data());
  args.target = device_pointer<void>(target.data());
  args.rows = static_cast<int64_t>(asked.size());
  args.count = static_cast<int64_t>(count);
  args.type = type;
  CaseResult result;
  result.name = case_name("gather", type, asked.size(), count);
  result.microseconds = bench.run([&] { bench.kernels().gather_rows(bench.stream(), args); });
  std::vector<uint32_t> wanted;
  for (size_t i = 0; i < bits.size() + count; ++i) {
    const uint32_t from = bits[i < bits.size() ? i : i - bits.size()];
    wanted.push_back(bits_of(float_of(from, KernelFloat::kBF16), type));
  }
  wanted.resize(asked.size() * count);
  std::vector<uint8_t> wanted_bytes = bytes_of(wanted, type);
  wanted_bytes.resize(bytes + 16, 0xA5);
  const auto found = bench.download<uint8_t>(target, bytes + 16);
  for (size_t i = 0; i < found.size(); ++i, ++result.values) {
    result.differing += found[i] == wanted_bytes[i] ? 0 : 1;
  }
  result.passed = result.differing == 0;
  return result;
}

struct Sides {
  int64_t planes, from, through, to;
};

CaseResult enlarge_case(const Bench& bench, const Sides& sides) {
  std::mt19937 random(static_cast<unsigned>(sides.from * 31 + sides.to));
  std::normal_distribution<float> normal(0.0F, 8.0F);
  std::vector<float> values(static_cast<size_t>(sides.planes * sides.from * sides.from));
  for (float& value : values) value = random() % 5 == 0 ? -1024.0F : normal(random);
  const size_t size = static_cast<size_t>(sides.planes * sides.to * sides.to);
  const DeviceBuffer source = bench.upload(values);
  const DeviceBuffer target = bench.make<float>(size);
  EnlargeArgs args;
  args.source = device_pointer<const float>(source.data());
  args.target = device_pointer<float>(target.data());
  args.planes = static_cast<int32_t>(sides.planes);
  args.from = static_cast<int32_t>(sides.from);
  args.through = static_cast<int32_t>(sides.through);
  args.to = static_cast<int32_t>(sides.to);
  CaseResult result;
  result.name = "enlarge " + std::to_string(sides.planes) + " x " + std::to_string(sides.from) +
                (sides.through > 0 ? " through " + std::to_string(sides.through) : "") + " to " +
                std::to_string(sides.to);
  result.microseconds = bench.run([&] { bench.kernels().enlarge(bench.stream(), args); });
  const auto found = bench.download<float>(target, size);
  std::vector<ResizedPlane> planes;
  const auto area = static_cast<size_t>(sides.from * sides.from);
  for (size_t i = 0; i < static_cast<size_t>(sides.planes); ++i) {
    const auto plane = std::span(values).subspan(i * area, area);
    planes.push_back({LogitPlane({plane.begin(), plane.end()}), sides.from, sides.through});
  }
  const Tensor wanted = resize_planes(planes, sides.to);
  for (size_t i = 0; i < size; ++i, ++result.values) {
    if (found[i] == wanted.f32()[i]) continue;
    ++result.differing;
    result.largest =
        larger(std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted.f32()[i])),
               result.largest);
  }
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_kept_cases(const CudaDevice& device, const CaseOptions& options, const Report& report) {
  const Bench bench(device, {});
  for (const KernelFloat type : kTypes) {
    for (const size_t rows : {1U, 3U, 7U, 16U}) {
      for (const size_t count : {1U, 7U, 8U, 9U, 16U, 257U, 2048U, 2057U}) {
        report(keep_case(bench, type, rows, count));
        report(gather_case(bench, type, rows, count));
      }
    }
    report(keep_case(bench, type, 2, 1U << 16U));
    report(gather_case(bench, type, 2, 1U << 16U));
  }
  report(gather_case(bench, KernelFloat::kF16, 66000, 1));
  for (const Sides& sides :
       {Sides{1, 1, 0, 1}, Sides{2, 1, 0, 5}, Sides{3, 4, 0, 4}, Sides{2, 3, 0, 7},
        Sides{1, 2, 5, 7}, Sides{2, 8, 4, 32}, Sides{3, 8, 28, 32}, Sides{1, 31, 0, 37},
        Sides{2, 72, 252, 288}, Sides{1, 252, 0, 288}, Sides{1, 64, 256, 256},
        Sides{1, 17, 260, 301}, Sides{70, 3, 4, 5}}) {
    report(enlarge_case(bench, sides));
  }
  if (options.timed_launches == 0) return;
  const Bench timed(device, options);
  constexpr size_t kMemory = size_t{72} * 72 * 64;
  for (const KernelFloat type : kTypes) {
    for (const size_t objects : {1U, 5U, 16U}) {
      report(keep_case(timed, type, objects, kMemory));
      report(gather_case(timed, type, 7 * objects, kMemory));
    }
  }
  for (const int64_t objects : {1, 5, 16}) {
    report(enlarge_case(timed, {objects, 288, 1008, 1152}));
    report(enlarge_case(timed, {objects, 288, 0, 1152}));
    report(enlarge_case(timed, {objects, 1008, 0, 1152}));
  }
}

}  // namespace sam3trt
