#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cuda/kernels.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

constexpr float kMost = -10.0F;

struct Sizes {
  size_t planes = 0;
  int64_t size = 0;
};

/// Few different logits, so that many are equal; a plane in four has none above 0.
std::vector<float> drawn(const Sizes& sizes) {
  std::mt19937 random(static_cast<unsigned>(sizes.size));
  std::vector<float> logits;
  for (size_t plane = 0; plane < sizes.planes; ++plane) {
    const float least = plane % 4 == 3 ? -30.0F : -20.0F;
    for (int64_t i = 0; i < sizes.size; ++i) {
      logits.push_back(least + static_cast<float>(random() % 30));
    }
  }
  return logits;
}

/// Of the planes from the last to the first: pixel by pixel.
std::vector<int64_t> areas_backwards(const std::vector<float>& logits, const Sizes& sizes) {
  std::vector<int64_t> areas(sizes.planes);
  for (int64_t pixel = 0; pixel < sizes.size; ++pixel) {
    const auto at = [&](size_t plane) {
      return logits[(sizes.planes - 1 - plane) * static_cast<size_t>(sizes.size) +
                    static_cast<size_t>(pixel)];
    };
    size_t best = 0;
    for (size_t plane = 1; plane < sizes.planes; ++plane) {
      if (at(plane) > at(best)) best = plane;
    }
    if (at(best) > 0.0F) ++areas[best];
  }
  return areas;
}

CaseResult named(const char* what, const Sizes& sizes) {
  CaseResult result;
  result.name = std::string(what) + " " + std::to_string(sizes.planes) + " planes of " +
                std::to_string(sizes.size);
  return result;
}

/// The planes in reverse order of their memory.
std::vector<DevicePointer> addresses_of(const DeviceBuffer& masks, const Sizes& sizes) {
  std::vector<DevicePointer> addresses;
  for (size_t plane = 0; plane < sizes.planes; ++plane) {
    addresses.push_back(masks.data() + (sizes.planes - 1 - plane) *
                                           static_cast<size_t>(sizes.size) * sizeof(float));
  }
  return addresses;
}

CaseResult won_case(const DeviceBench& bench, const KernelLibrary& kernels, const Sizes& sizes) {
  const std::vector<float> logits = drawn(sizes);
  const std::vector<int64_t> expected = areas_backwards(logits, sizes);
  const DeviceBuffer masks = bench.upload(logits);
  const DeviceBuffer addresses = bench.upload(addresses_of(masks, sizes));
  const DeviceBuffer areas = bench.make<uint32_t>(sizes.planes);
  WonArgs args;
  args.planes = device_pointer<const float* const>(addresses.data());
  args.count = static_cast<int64_t>(sizes.planes);
  args.size = sizes.size;
  args.areas = device_pointer<uint32_t>(areas.data());
  CaseResult result = named("won pixels of", sizes);
  result.microseconds = bench.run([&] {
    fill_bytes(bench.stream(), areas.data(), std::byte{0}, sizes.planes * sizeof(uint32_t));
    kernels.count_won(bench.stream(), args);
  });
  const auto found = bench.download<uint32_t>(areas, sizes.planes);
  for (size_t i = 0; i < found.size(); ++i, ++result.values) {
    if (int64_t{found[i]} != expected[i]) ++result.differing;
  }
  result.passed = result.differing == 0;
  return result;
}

CaseResult lower_case(const DeviceBench& bench, const KernelLibrary& kernels, const Sizes& sizes) {
  const std::vector<float> logits = drawn(sizes);
  const DeviceBuffer masks = bench.upload(logits);
  const DeviceBuffer addresses = bench.upload(addresses_of(masks, sizes));
  LowerArgs args;
  args.planes = device_pointer<float* const>(addresses.data());
  args.size = sizes.size;
  args.most = kMost;
  CaseResult result = named("lowered", sizes);
  result.microseconds =
      bench.run([&] { kernels.lower_planes(bench.stream(), args, sizes.planes); });
  const auto found = bench.download<float>(masks, logits.size());
  for (size_t i = 0; i < found.size(); ++i, ++result.values) {
    if (found[i] != std::min(logits[i], kMost)) ++result.differing;
  }
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_overlap_cases(const CudaDevice& device, const CaseOptions& options,
                       const std::function<void(const CaseResult&)>& report) {
  const KernelLibrary kernels(device);
  const std::vector<Sizes> cases = {{1, 1}, {1, 300}, {2, 256}, {9, 1000}, {70, 257}};
  const std::vector<Sizes> timed = {{2, 82944}, {50, 82944}};
  run_cases(device, options, cases, timed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(won_case(bench, kernels, sizes));
    report(lower_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
