#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cuda/kernels.hpp"
#include "device_bench.hpp"
#include "image/mask_cleanup.hpp"

namespace sam3trt {
namespace {

/// What a mask looks like; noise by the share of eighths of its pixels that are inside.
enum class Look { kEmpty, kFull, kChecks, kSpiral, kDiagonals, kThings, kThin, kHalf, kDense };
constexpr int kLooks = 9;

/// A line, one pixel wide with as much between its turns, that winds to the middle: a component
/// whose runs are joined one after another.
void draw_spiral(std::vector<float>& mask, int64_t side) {
  int64_t row = 0;
  int64_t column = -1;
  int64_t right = 1;
  int64_t down = 0;
  for (int64_t length = side; length > 0; length -= right != 0 ? 0 : 2) {
    for (int64_t i = 0; i < length; ++i) {
      row += down;
      column += right;
      if (row < 0 || column < 0 || row >= side || column >= side) return;
      mask[static_cast<size_t>(row * side + column)] = 1.0F;
    }
    const int64_t turned = right;
    right = -down;
    down = turned;
  }
}

/// Discs with holes and specks of all sizes around them.
void draw_things(std::vector<float>& mask, int64_t side, std::mt19937& random) {
  for (int thing = 0; thing < 60; ++thing) {
    const auto x = static_cast<int64_t>(random() % static_cast<uint32_t>(side));
    const auto y = static_cast<int64_t>(random() % static_cast<uint32_t>(side));
    const int64_t radius = thing < 4 ? side / 5 : static_cast<int64_t>(random() % 6);
    const float value = thing < 4 || random() % 2 != 0 ? 2.0F : -2.0F;
    for (int64_t row = std::max<int64_t>(y - radius, 0); row < std::min(y + radius + 1, side);
         ++row) {
      for (int64_t column = std::max<int64_t>(x - radius, 0);
           column < std::min(x + radius + 1, side); ++column) {
        const int64_t distance = (row - y) * (row - y) + (column - x) * (column - x);
        if (distance <= radius * radius) mask[static_cast<size_t>(row * side + column)] = value;
      }
    }
  }
}

std::vector<float> drawn(Look look, int64_t side, std::mt19937& random) {
  std::vector<float> mask(static_cast<size_t>(side * side), look == Look::kFull ? 1.0F : -1.0F);
  if (look == Look::kSpiral) draw_spiral(mask, side);
  if (look == Look::kThings) draw_things(mask, side, random);
  for (size_t i = 0; i < mask.size(); ++i) {
    const auto row = static_cast<int64_t>(i) / side;
    const auto column = static_cast<int64_t>(i) % side;
    bool inside = false;
    if (look == Look::kChecks) inside = (row + column) % 2 == 0;
    if (look == Look::kDiagonals) inside = (row + column) % 4 == 0;
    if (look == Look::kThin) inside = random() % 8 == 0;
    if (look == Look::kHalf) inside = random() % 8 < 4;
    if (look == Look::kDense) inside = random() % 8 != 0;
    if (inside) mask[i] = static_cast<float>(1 + i % 7);
  }
  return mask;
}

struct Sizes {
  int64_t side = 0;
  size_t planes = 0;
  int64_t max_area = 0;
  int first_look = 0;  ///< Of the first plane; the next planes have the next ones.
};

CaseResult clean_case(const DeviceBench& bench, const KernelLibrary& kernels, const Sizes& sizes) {
  std::mt19937 random(static_cast<unsigned>(sizes.side * 31 + sizes.max_area));
  const auto size = static_cast<size_t>(sizes.side * sizes.side);
  std::vector<float> logits;
  std::vector<float> expected;
  for (size_t i = 0; i < sizes.planes; ++i) {
    const auto look = static_cast<Look>((sizes.first_look + static_cast<int>(i)) % kLooks);
    std::vector<float> mask = drawn(look, sizes.side, random);
    logits.insert(logits.end(), mask.begin(), mask.end());
    clean_mask(mask, sizes.side, sizes.max_area);
    expected.insert(expected.end(), mask.begin(), mask.end());
  }
  const DeviceBuffer given = bench.upload(logits);
  const DeviceBuffer masks = bench.make<float>(logits.size());
  std::vector<DevicePointer> addresses;
  for (size_t i = sizes.planes; i-- > 0;) {
    addresses.push_back(masks.data() + i * size * sizeof(float));
  }
  const DeviceBuffer planes = bench.upload(addresses);
  const auto words = static_cast<size_t>(sizes.side * above_words(sizes.side));
  const DeviceBuffer bits = bench.make<uint64_t>(sizes.planes * words);
  const DeviceBuffer labels = bench.make<uint32_t>(sizes.planes * size);
  const DeviceBuffer areas = bench.make<uint32_t>(sizes.planes * size);
  const DeviceBuffer totals = bench.make<uint32_t>(sizes.planes);
  CleanArgs args;
  args.planes = device_pointer<float* const>(planes.data());
  args.side = sizes.side;
  args.max_area = sizes.max_area;
  args.words = device_pointer<uint64_t>(bits.data());
  args.labels = device_pointer<uint32_t>(labels.data());
  args.areas = device_pointer<uint32_t>(areas.data());
  args.totals = device_pointer<uint32_t>(totals.data());
  CaseResult result;
  result.name = "clean " + std::to_string(sizes.planes) + " of " + std::to_string(sizes.side) +
                " to " + std::to_string(sizes.max_area) + " look " +
                std::to_string(sizes.first_look);
  result.microseconds = bench.run([&] {
    copy_on_device(bench.stream(), masks.data(), given.data(), logits.size() * sizeof(float));
    fill_bytes(bench.stream(), totals.data(), std::byte{0}, sizes.planes * sizeof(uint32_t));
    kernels.clean_planes(bench.stream(), args, sizes.planes);
  });
  const auto found = bench.download<float>(masks, logits.size());
  for (size_t i = 0; i < found.size(); ++i, ++result.values) {
    if (found[i] != expected[i]) ++result.differing;
  }
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_clean_cases(const CudaDevice& device, const CaseOptions& options,
                     const std::function<void(const CaseResult&)>& report) {
  const KernelLibrary kernels(device);
  std::vector<Sizes> cases;
  for (const int64_t side : {1, 2, 3, 63, 64, 65, 130}) {
    for (const int64_t max_area : {1, 16, 1000000}) cases.push_back({side, kLooks, max_area});
  }
  cases.push_back({288, kLooks, 16});
  std::vector<Sizes> timed;
  for (int look = 0; look < kLooks; ++look) timed.push_back({288, 1, 16, look});
  timed.push_back({288, 16, 16, 0});
  timed.push_back({288, 50, 16, 0});
  run_cases(device, options, cases, timed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(clean_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
