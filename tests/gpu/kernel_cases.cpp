#include "kernel_cases.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "base/half.hpp"
#include "cuda/kernels.hpp"
#include "cuda/mask_plan.hpp"
#include "device_bench.hpp"
#include "image/resize.hpp"
#include "image/rle.hpp"
#include "runtime/postprocess.hpp"

namespace sam3trt {
namespace {

/// A sigmoid of the GPU is off by up to 4 units in the last place where it is subnormal, and by one
/// or two elsewhere (measured over all floats, with the exponential rounded correctly); a product
/// of two, and a resize of several, stay below this share.
constexpr double kSigmoidTolerance = 1e-6;

class Bench : public DeviceBench {
 public:
  Bench(const CudaDevice& device, const CaseOptions& options)
      : DeviceBench(device, options), kernels_(device) {}

  [[nodiscard]] const KernelLibrary& kernels() const { return kernels_; }

 private:
  KernelLibrary kernels_;
};

template <typename T>
T* at(const DeviceBuffer& buffer) {
  return device_pointer<T>(buffer.data());
}

std::string by(int64_t width, int64_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

Image noise_image(int64_t width, int64_t height) {
  std::mt19937 random(static_cast<unsigned>(width * 7919 + height));
  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(width * height) * 3);
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random());
  // A dark and a bright corner, where sums reach their ends.
  for (size_t i = 0; i < image.rgb.size() / 4; ++i) image.rgb[i] = i % 2 == 0 ? 0 : 255;
  return image;
}

/// Two pictures into one tensor: the second one's target is the second image of the batch.
template <typename Element>
CaseResult resize_case(const Bench& bench, const Image& image, int64_t width, int64_t height) {
  constexpr bool kHalf = sizeof(Element) == 2;
  constexpr std::array<double, 3> kMean = {0.5, 0.48, 0.41};
  constexpr std::array<double, 3> kStd = {0.5, 0.27, 0.3};
  const auto table = [&] {
    const PixelTable floats = make_pixel_table(1.0 / 255, kMean, kStd);
    if constexpr (kHalf) return std::vector{half_pixel_table(floats)};
    if constexpr (!kHalf) return std::vector{floats};
  }();
  const size_t plane = static_cast<size_t>(width * height) * 3;
  const PackedTaps columns = pack_taps(image.width, width);
  const PackedTaps rows = pack_taps(image.height, height);
  const DeviceBuffer source = bench.upload(image.rgb);
  const DeviceBuffer column_taps = bench.upload(columns.words);
  const DeviceBuffer row_taps = bench.upload(rows.words);
  const DeviceBuffer device_table = bench.upload(table);
  const DeviceBuffer scratch = bench.make<uint8_t>(static_cast<size_t>(width * image.height) * 3);
  const DeviceBuffer target = bench.make<Element>(2 * plane);
  ResizeArgs args;
  args.source = at<const uint8_t>(source);
  args.scratch = at<uint8_t>(scratch);
  args.table = at<const void>(device_table);
  args.target = at<Element>(target) + plane;
  args.half = kHalf;
  args.in_width = static_cast<int32_t>(image.width);
  args.in_height = static_cast<int32_t>(image.height);
  args.out_width = static_cast<int32_t>(width);
  args.out_height = static_cast<int32_t>(height);
  args.columns = columns.at(column_taps.data());
  args.rows = rows.at(row_taps.data());
  CaseResult result;
  result.name = std::string("resize ") + by(image.width, image.height) + " to " +
                by(width, height) + (kHalf ? " half" : " float");
  result.microseconds = bench.run([&] { bench.kernels().resize_image(bench.stream(), args); });
  const std::vector<Element> got = bench.download<Element>(target, 2 * plane);
  const Tensor expected =
      to_pixel_values(resize_antialias(image, width, height), 1.0 / 255, kMean, kStd);
  result.values = plane;
  for (size_t i = 0; i < plane; ++i) {
    double wanted = static_cast<double>(expected.f32()[i]);
    double found = 0;
    if constexpr (kHalf) {
      wanted = static_cast<double>(f16_to_f32(f32_to_f16(expected.f32()[i])));
      found = static_cast<double>(f16_to_f32(got[plane + i]));
    } else {
      found = static_cast<double>(got[plane + i]);
    }
    if (found == wanted) continue;
    ++result.differing;
    result.largest = std::max(result.largest, std::abs(found - wanted));
  }
  result.passed = result.differing == 0;
  return result;
}

void resize_cases(const Bench& bench, const std::function<void(const CaseResult&)>& report) {
  const struct {
    int64_t in_width, in_height, width, height;
  } sizes[] = {{1, 1, 1, 1},       {1, 1, 9, 7},           {1, 40, 13, 5},
               {40, 1, 5, 13},     {2, 3, 5, 7},           {64, 48, 64, 48},
               {64, 48, 64, 31},   {64, 48, 31, 48},       {37, 53, 300, 259},
               {301, 257, 33, 31}, {4001, 3, 64, 64},      {1, 65536, 3, 64},
               {65536, 1, 64, 3},  {427, 640, 1008, 1008}, {1920, 1080, 1008, 1008}};
  for (const auto& size : sizes) {
    const Image image = noise_image(size.in_width, size.in_height);
    report(resize_case<float>(bench, image, size.width, size.height));
    report(resize_case<uint16_t>(bench, image, size.width, size.height));
  }
}

struct SelectInput {
  int32_t prompts, queries, slots;
  float threshold;
  std::vector<float> logits, presence, boxes, sizes;
};

SelectInput select_input(int32_t prompts, int32_t queries, int32_t slots, float threshold) {
  std::mt19937 random(static_cast<unsigned>(prompts * 131 + queries * 17 + slots));
  std::uniform_real_distribution<float> uniform(-6.0F, 6.0F);
  SelectInput input{prompts, queries, slots, threshold, {}, {}, {}, {}};
  for (int32_t i = 0; i < prompts * queries; ++i) {
    // Every other logit is a whole number, so that scores are equal to others.
    const float value = uniform(random);
    input.logits.push_back(i % 2 == 0 ? std::round(value) : value);
    for (int k = 0; k < 4; ++k) input.boxes.push_back(uniform(random) / 5);
  }
  for (int32_t p = 0; p < prompts; ++p) {
    input.presence.push_back(p == 0 ? 30.0F : uniform(random));
    input.sizes.push_back(static_cast<float>(100 + 411 * p));
    input.sizes.push_back(static_cast<float>(4001 - 7 * p));
  }
  if (queries > 6) {
    input.logits[1] = std::numeric_limits<float>::quiet_NaN();
    input.logits[2] = std::numeric_limits<float>::infinity();
    input.logits[3] = -std::numeric_limits<float>::infinity();
    input.logits[4] = input.logits[5] = -95.0F;  // subnormal
  }
  return input;
}

/// Compares one slot. Different queries are accepted where their scores are equal but for the
/// tolerance.
void compare_slot(const Detection& wanted, const Detection& found, double tolerance,
                  CaseResult& result, bool& passed) {
  const double difference =
      std::abs(static_cast<double>(wanted.score) - static_cast<double>(found.score));
  result.largest = std::max(result.largest, difference);
  const bool equal =
      wanted.query == found.query && wanted.score == found.score && wanted.box == found.box;
  if (equal) return;
  ++result.differing;
  passed = passed && difference <= tolerance * static_cast<double>(wanted.score) + 1e-40 &&
           tolerance > 0 && (wanted.query != found.query || wanted.box == found.box);
}

CaseResult select_case(const Bench& bench, const SelectInput& input) {
  const auto prompts = static_cast<size_t>(input.prompts);
  const auto slots = static_cast<size_t>(input.slots);
  const DeviceBuffer logits = bench.upload(input.logits);
  const DeviceBuffer presence = bench.upload(input.presence);
  const DeviceBuffer boxes = bench.upload(input.boxes);
  const DeviceBuffer sizes = bench.upload(input.sizes);
  const DeviceBuffer count = bench.make<int32_t>(prompts);
  const DeviceBuffer query_index = bench.make<int64_t>(prompts * slots);
  const DeviceBuffer score = bench.make<float>(prompts * slots);
  const DeviceBuffer box = bench.make<float>(prompts * slots * 4);
  const SelectArgs args{at<float>(logits),  at<float>(presence),
                        at<float>(boxes),   at<float>(sizes),
                        input.prompts,      input.queries,
                        input.slots,        input.threshold,
                        at<int32_t>(count), at<int64_t>(query_index),
                        at<float>(score),   at<float>(box)};
  CaseResult result;
  result.name = "select " + by(input.prompts, input.queries) + " into " +
                std::to_string(input.slots) + " above " + std::to_string(input.threshold);
  result.microseconds = bench.run([&] { bench.kernels().select_detections(bench.stream(), args); });
  const auto got_count = bench.download<int32_t>(count, prompts);
  const auto got_query = bench.download<int64_t>(query_index, prompts * slots);
  const auto got_score = bench.download<float>(score, prompts * slots);
  const auto got_box = bench.download<float>(box, prompts * slots * 4);
  const double tolerance = bench.options().exact ? 0.0 : kSigmoidTolerance;
  bool passed = true;
  const auto queries = static_cast<size_t>(input.queries);
  for (size_t p = 0; p < prompts; ++p) {
    const PromptLogits prompt{std::span(input.logits).subspan(p * queries, queries),
                              input.presence[p],
                              std::span(input.boxes).subspan(p * queries * 4, queries * 4)};
    const std::vector<Detection> wanted =
        select_detections(prompt, input.threshold, static_cast<int64_t>(input.sizes[p * 2]),
                          static_cast<int64_t>(input.sizes[p * 2 + 1]));
    passed = passed && static_cast<size_t>(got_count[p]) == wanted.size();
    for (size_t m = 0; m < slots; ++m, ++result.values) {
      Detection found{got_query[p * slots + m], got_score[p * slots + m], {}};
      std::copy_n(got_box.begin() + static_cast<std::ptrdiff_t>((p * slots + m) * 4), 4,
                  found.box.begin());
      compare_slot(m < wanted.size() ? wanted[m] : Detection{}, found, tolerance, result, passed);
    }
  }
  result.passed = passed;
  return result;
}

void select_cases(const Bench& bench, const std::function<void(const CaseResult&)>& report) {
  for (const int32_t queries : {1, 7, 200, 257, 1024}) {
    for (const int32_t slots : {1, 5, 200, 1024}) {
      for (const float threshold : {0.5F, 0.0F, -1.0F, 0.3F, 1.0F}) {
        report(select_case(bench, select_input(3, queries, slots, threshold)));
      }
    }
  }
  SelectInput nothing = select_input(2, 7, 3, std::numeric_limits<float>::quiet_NaN());
  report(select_case(bench, nothing));
}

/// Planes of logits that make awkward masks.
constexpr int kPatterns = 8;

std::vector<float> mask_logits(int64_t side) {
  std::mt19937 random(static_cast<unsigned>(side));
  std::uniform_real_distribution<float> uniform(-8.0F, 8.0F);
  const auto middle = static_cast<float>(side) / 2;
  std::vector<float> logits;
  for (int pattern = 0; pattern < kPatterns; ++pattern) {
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        const float dy = static_cast<float>(y) - middle;
        const float dx = static_cast<float>(x) - middle;
        const float disc = 3.0F * (middle / 2 - std::sqrt(dy * dy + dx * dx));
        const std::array<float, kPatterns> values = {-5.0F,                      // empty
                                                     5.0F,                       // full
                                                     y % 2 == 0 ? 4.0F : -4.0F,  // rows
                                                     x % 2 == 0 ? 4.0F : -4.0F,  // columns
                                                     uniform(random),            // noise
                                                     disc,                       // a disc
                                                     -disc,                      // its outside
                                                     0.0F};                      // on the edge
        logits.push_back(values[static_cast<size_t>(pattern)]);
      }
    }
  }
  return logits;
}

/// Pixels of two masks that differ, and how far the CPU's resized value is from the cut there.
/// Counts that rle_counts would not make of any mask are infinitely far.
void compare_masks(std::span<const float> plane, int64_t side, const MaskRequest& request,
                   Semantics semantics, float threshold, std::span<const uint32_t> counts,
                   CaseResult& result) {
  const std::vector<uint8_t> wanted =
      binary_mask(plane, side, request.width, request.height, semantics, threshold);
  result.values += wanted.size();
  if (std::ranges::equal(counts, rle_counts(wanted, request.height, request.width))) return;
  uint64_t total = 0;
  for (const uint32_t count : counts) total += count;
  std::vector<uint8_t> found;
  if (total == wanted.size()) found = rle_decode(counts, request.height, request.width);
  if (found.empty() ||
      !std::ranges::equal(counts, rle_counts(found, request.height, request.width))) {
    ++result.differing;
    result.largest = std::numeric_limits<double>::infinity();
    return;
  }
  std::vector<float> source(plane.begin(), plane.end());
  if (semantics == Semantics::kHf) std::ranges::transform(source, source.begin(), sigmoid);
  std::vector<float> resized(wanted.size());
  resize_bilinear(source, side, side, resized, request.height, request.width);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == found[i]) continue;
    ++result.differing;
    result.largest = std::max(
        result.largest, std::abs(static_cast<double>(resized[i]) - static_cast<double>(threshold)));
  }
}

/// The masks of one launch and their memory, with room for as many runs as there can be.
class MaskLaunch {
 public:
  MaskLaunch(const Bench& bench, int64_t side, const std::vector<MaskRequest>& requests,
             Semantics semantics, float threshold)
      : bench_(bench),
        logits_(mask_logits(side)),
        plan_(plan_masks(requests, side)),
        device_logits_(bench.upload(logits_)),
        tasks_(bench.upload(plan_.tasks)),
        probabilities_(bench.make<float>(
            semantics == Semantics::kHf ? requests.size() * static_cast<size_t>(side * side) : 0)),
        bits_(bench.make<uint32_t>(plan_.bit_words)),
        changes_(bench.make<uint32_t>(plan_.columns)),
        lasts_(bench.make<uint32_t>(plan_.columns)),
        areas_(bench.make<uint32_t>(plan_.columns)),
        summaries_(bench.make<MaskSummary>(requests.size())),
        room_(requests.size()),
        run_lengths_(bench.make<uint32_t>(add_pixels(requests, room_))) {
    args_.logits = at<const float>(device_logits_);
    if (semantics == Semantics::kHf) args_.probabilities = at<float>(probabilities_);
    args_.tasks = at<const MaskTask>(tasks_);
    args_.count = static_cast<int32_t>(requests.size());
    args_.side = static_cast<int32_t>(side);
    args_.cut = mask_cut(semantics, threshold);
    args_.bits = at<uint32_t>(bits_);
    args_.changes = at<uint32_t>(changes_);
    args_.lasts = at<uint32_t>(lasts_);
    args_.areas = at<uint32_t>(areas_);
    args_.summaries = at<MaskSummary>(summaries_);
    args_.run_lengths = at<uint32_t>(run_lengths_);
    args_.capacity = room_;
  }

  [[nodiscard]] uint64_t room() const { return room_; }
  [[nodiscard]] std::span<const float> plane(uint64_t index) const {
    const auto size = static_cast<size_t>(args_.side) * static_cast<size_t>(args_.side);
    return std::span(logits_).subspan(index * size, size);
  }

  /// Microseconds of one launch that may write `capacity` runs.
  [[nodiscard]] double run(uint64_t capacity) const {
    MaskArgs args = args_;
    args.capacity = capacity;
    return bench_.run(
        [&] { bench_.kernels().mask_run_lengths(bench_.stream(), args, plan_.tasks); });
  }

  void fill_run_lengths(std::byte value) const {
    fill_bytes(bench_.stream(), run_lengths_.data(), value, run_lengths_.size());
  }

  [[nodiscard]] std::vector<MaskSummary> summaries() const {
    return bench_.download<MaskSummary>(summaries_, plan_.tasks.size());
  }
  [[nodiscard]] std::vector<uint32_t> run_lengths(uint64_t count) const {
    return bench_.download<uint32_t>(run_lengths_, count);
  }

 private:
  /// A mask has at most a run per pixel and an empty one before them.
  static uint64_t add_pixels(const std::vector<MaskRequest>& requests, uint64_t& room) {
    for (const MaskRequest& request : requests) {
      room += static_cast<uint64_t>(request.height * request.width);
    }
    return room;
  }

  const Bench& bench_;
  std::vector<float> logits_;
  MaskPlan plan_;
  DeviceBuffer device_logits_, tasks_, probabilities_, bits_, changes_, lasts_, areas_, summaries_;
  uint64_t room_;
  DeviceBuffer run_lengths_;
  MaskArgs args_;
};

std::string mask_name(const char* what, int64_t side, const std::vector<MaskRequest>& requests,
                      Semantics semantics, float threshold) {
  return std::string(what) + (semantics == Semantics::kHf ? " hf " : " meta ") +
         std::to_string(side) + " to " + by(requests.back().width, requests.back().height) + " (" +
         std::to_string(requests.size()) + ") above " + std::to_string(threshold);
}

CaseResult mask_case(const Bench& bench, int64_t side, const std::vector<MaskRequest>& requests,
                     Semantics semantics, float threshold) {
  const MaskLaunch masks(bench, side, requests, semantics, threshold);
  CaseResult result;
  result.name = mask_name("mask", side, requests, semantics, threshold);
  result.microseconds = masks.run(masks.room());
  const std::vector<MaskSummary> got = masks.summaries();
  const std::vector<uint32_t> run_lengths = masks.run_lengths(masks.room());
  bool passed = true;
  uint64_t begin = 0;
  for (size_t i = 0; i < requests.size() && passed; ++i) {
    const MaskRequest& request = requests[i];
    passed = got[i].begin == begin && got[i].runs > 0 && begin + got[i].runs <= masks.room();
    if (!passed) break;
    const auto counts = std::span(run_lengths).subspan(begin, got[i].runs);
    begin += got[i].runs;
    uint64_t area = 0;
    for (size_t k = 1; k < counts.size(); k += 2) area += counts[k];
    passed = area == got[i].area;
    compare_masks(masks.plane(request.plane), side, request, semantics, threshold, counts, result);
  }
  const double tolerance =
      bench.options().exact || semantics == Semantics::kMeta ? 0.0 : kSigmoidTolerance;
  result.passed = passed && (result.differing == 0 || result.largest <= tolerance);
  return result;
}

/// Too little room: what fits is as with enough of it, the rest of the memory is left alone, and
/// the summaries say how much room is needed.
CaseResult mask_capacity_case(const Bench& bench, int64_t side,
                              const std::vector<MaskRequest>& requests, Semantics semantics) {
  constexpr uint32_t kUntouched = 0xA5A5A5A5;
  const MaskLaunch masks(bench, side, requests, semantics, 0.5F);
  CaseResult result;
  result.name = mask_name("mask without room", side, requests, semantics, 0.5F);
  (void)masks.run(masks.room());
  const std::vector<MaskSummary> wanted = masks.summaries();
  const uint64_t total = wanted.back().begin + wanted.back().runs;
  const std::vector<uint32_t> all = masks.run_lengths(total);
  result.passed = total < masks.room();
  for (const uint64_t capacity : {uint64_t{0}, uint64_t{1}, wanted.back().begin - 1,
                                  wanted.back().begin, total / 2, total - 1, total}) {
    masks.fill_run_lengths(std::byte{0xA5});
    result.microseconds = masks.run(capacity);
    const std::vector<MaskSummary> got = masks.summaries();
    for (size_t i = 0; i < wanted.size(); ++i) {
      result.passed = result.passed && got[i].begin == wanted[i].begin &&
                      got[i].runs == wanted[i].runs && got[i].area == wanted[i].area;
    }
    const std::vector<uint32_t> found = masks.run_lengths(masks.room());
    for (size_t i = 0; i < found.size(); ++i, ++result.values) {
      result.differing += found[i] == (i < capacity && i < total ? all[i] : kUntouched) ? 0 : 1;
    }
  }
  result.passed = result.passed && result.differing == 0;
  return result;
}

void mask_cases(const Bench& bench, const std::function<void(const CaseResult&)>& report) {
  const struct {
    int64_t side, width, height;
  } sizes[] = {{1, 1, 1},    {1, 40, 33},  {2, 1, 1},    {2, 1003, 3},   {7, 1, 1000},
               {7, 1000, 1}, {7, 31, 32},  {7, 33, 31},  {72, 65, 64},   {72, 72, 72},
               {72, 33, 31}, {72, 300, 7}, {72, 7, 300}, {288, 640, 427}};
  for (const auto semantics : {Semantics::kHf, Semantics::kMeta}) {
    for (const auto& size : sizes) {
      std::vector<MaskRequest> requests;
      for (uint64_t plane = 0; plane < kPatterns; ++plane) {
        requests.push_back({plane, size.height, size.width});
      }
      report(mask_case(bench, size.side, requests, semantics, 0.5F));
    }
    for (const float threshold : {-1.0F, 0.0F, 0.3F, 0.95F, 1.0F, 2.0F}) {
      report(mask_case(bench, 72, {{4, 100, 131}, {1, 9, 3}, {5, 64, 77}, {4, 31, 600}}, semantics,
                       threshold));
    }
    report(mask_case(bench, 7, {{4, 65536, 1}}, semantics, 0.5F));
    report(mask_case(bench, 7, {{4, 2, 65536}}, semantics, 0.5F));
    std::vector<MaskRequest> many;
    for (int64_t i = 0; i < 300; ++i) {
      many.push_back({static_cast<uint64_t>(i % kPatterns), 1 + i % 67, 1 + i % 41});
    }
    report(mask_case(bench, 7, many, semantics, 0.5F));
    report(mask_capacity_case(bench, 7, many, semantics));
    report(mask_capacity_case(bench, 72, {{4, 131, 100}, {0, 9, 3}, {5, 64, 777}, {2, 65, 31}},
                              semantics));
    report(mask_case(bench, 288, {{5, 1008, 1008}, {6, 1008, 1008}}, semantics, 0.5F));
  }
}

/// Some of the planes, in another order; logits at the thresholds, and beyond all numbers.
CaseResult count_case(const Bench& bench, int64_t side, size_t planes) {
  constexpr float kHigh = 0.05F;
  constexpr float kLow = -0.05F;
  const auto size = static_cast<size_t>(side * side);
  std::mt19937 random(static_cast<unsigned>(size + planes));
  std::normal_distribution<float> normal;
  std::vector<float> logits(2 * planes * size);
  for (size_t i = 0; i < logits.size(); ++i) {
    const std::array values = {normal(random), 0.1F * normal(random), kHigh, kLow};
    logits[i] = values.at(random() % values.size());
  }
  std::vector<uint64_t> wanted;
  for (size_t i = 0; i < planes; ++i) wanted.push_back(2 * (planes - 1 - i));
  logits[wanted.back() * size + size / 2] = std::numeric_limits<float>::quiet_NaN();
  logits[wanted.back() * size] = std::numeric_limits<float>::infinity();
  const DeviceBuffer values = bench.upload(logits);
  const DeviceBuffer chosen = bench.upload(wanted);
  const DeviceBuffer counts = bench.make<LogitCounts>(planes * kCountParts);
  const CountArgs args{
      at<const float>(values), at<const uint64_t>(chosen), static_cast<int64_t>(size), kHigh, kLow,
      at<LogitCounts>(counts)};
  CaseResult result;
  result.name = "count " + std::to_string(planes) + " of " + by(side, side);
  result.microseconds =
      bench.run([&] { bench.kernels().count_logits(bench.stream(), args, planes); });
  const auto got = bench.download<LogitCounts>(counts, planes * kCountParts);
  for (size_t i = 0; i < planes; ++i) {
    std::array<int64_t, 3> found{};
    for (size_t part = 0; part < kCountParts; ++part) {
      const LogitCounts& of_part = got[i * kCountParts + part];
      found[0] += of_part.above_high;
      found[1] += of_part.above_low;
      found[2] += of_part.broken;
    }
    const auto plane = std::span(logits).subspan(wanted[i] * size, size);
    const auto count = [&](const auto& is) { return std::ranges::count_if(plane, is); };
    const std::array<int64_t, 3> expected = {
        count([](float value) { return value > kHigh; }),
        count([](float value) { return value > kLow; }),
        count([](float value) { return !std::isfinite(value); })};
    for (size_t n = 0; n < expected.size(); ++n) {
      ++result.values;
      if (found.at(n) == expected.at(n)) continue;
      ++result.differing;
      result.largest =
          std::max(result.largest, std::abs(static_cast<double>(found.at(n) - expected.at(n))));
    }
  }
  result.passed = result.differing == 0;
  return result;
}

void count_cases(const Bench& bench, const std::function<void(const CaseResult&)>& report) {
  for (const int64_t side : {1, 3, 4, 61, 288}) {
    for (const size_t planes : {1, 2, 16}) report(count_case(bench, side, planes));
  }
}

std::vector<DevicePointer> addresses_of(const DeviceBuffer& values,
                                        std::span<const uint64_t> planes, size_t size) {
  std::vector<DevicePointer> addresses;
  addresses.reserve(planes.size());
  for (const uint64_t plane : planes) {
    addresses.push_back(values.data() + plane * size * sizeof(float));
  }
  return addresses;
}

/// Some of the planes, in another order; logits that are 0, and one beyond all numbers.
CaseResult above_case(const Bench& bench, int64_t side, size_t planes) {
  const auto size = static_cast<size_t>(side * side);
  const auto words = static_cast<size_t>(above_words(side * side));
  std::mt19937 random(static_cast<unsigned>(size + planes));
  std::normal_distribution<float> normal;
  std::vector<float> logits(2 * planes * size);
  for (size_t i = 0; i < logits.size(); ++i) {
    const std::array values = {normal(random), 1e-30F * normal(random), 0.0F, -0.0F};
    logits[i] = values.at(random() % values.size());
  }
  std::vector<uint64_t> wanted;
  for (size_t i = 0; i < planes; ++i) wanted.push_back(2 * (planes - 1 - i));
  logits[wanted.back() * size + size / 2] = std::numeric_limits<float>::infinity();
  const DeviceBuffer values = bench.upload(logits);
  const DeviceBuffer chosen = bench.upload(addresses_of(values, wanted, size));
  const DeviceBuffer bits = bench.make<uint64_t>(planes * words);
  const DeviceBuffer broken = bench.upload(std::vector<int32_t>(planes));
  const AboveArgs args{at<const float* const>(chosen), static_cast<int64_t>(size),
                       at<uint64_t>(bits), at<int32_t>(broken)};
  CaseResult result;
  result.name = "above " + std::to_string(planes) + " of " + by(side, side);
  result.microseconds =
      bench.run([&] { bench.kernels().find_above(bench.stream(), args, planes); });
  const auto got = bench.download<uint64_t>(bits, planes * words);
  const auto flags = bench.download<int32_t>(broken, planes);
  for (size_t i = 0; i < planes; ++i) {
    std::vector<uint64_t> expected(words);
    for (size_t pixel = 0; pixel < size; ++pixel) {
      const bool above = logits[wanted[i] * size + pixel] > 0.0F;
      expected[pixel / 64] |= uint64_t{above ? 1U : 0U} << pixel % 64;
    }
    for (size_t word = 0; word < words; ++word, ++result.values) {
      if (got[i * words + word] != expected[word]) ++result.differing;
    }
    if (flags[i] != (i + 1 == planes ? 1 : 0)) ++result.differing;
  }
  result.passed = result.differing == 0;
  return result;
}

void above_cases(const Bench& bench, const std::function<void(const CaseResult&)>& report) {
  for (const int64_t side : {1, 3, 8, 61, 288}) {
    for (const size_t planes : {1U, 2U, 16U}) report(above_case(bench, side, planes));
  }
}

}  // namespace

void run_kernel_cases(const CudaDevice& device, const CaseOptions& options,
                      const std::function<void(const CaseResult&)>& report) {
  const Bench bench(device, options);
  resize_cases(bench, report);
  select_cases(bench, report);
  mask_cases(bench, report);
  count_cases(bench, report);
  above_cases(bench, report);
}

}  // namespace sam3trt
