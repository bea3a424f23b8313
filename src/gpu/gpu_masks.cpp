#include "gpu/gpu_masks.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kMaxBitWords = uint64_t{32} << 20U;  // 128 MiB of bits at once
constexpr size_t kMaxMasks = 4096;                      // at once
constexpr uint64_t kFirstRuns = uint64_t{1} << 20U;
constexpr uint64_t kEagerRuns = uint64_t{1} << 16U;  // copied before their number is known

constexpr uint64_t kRunsOfAThread = uint64_t{1} << 20U;  // less is copied sooner than it starts

/// How many masks are worth a thread: masks of noise have 100,000 runs and more each, and what
/// takes longest is that the system clears the memory for them.
size_t masks_of_a_thread(uint64_t runs, size_t masks) {
  return static_cast<size_t>(kRunsOfAThread * masks / std::max(runs, kRunsOfAThread)) + 1;
}

uint64_t words_of(const MaskRequest& request) {
  return static_cast<uint64_t>((request.height + 31) / 32 * request.width);
}

}  // namespace

GpuMasks::GpuMasks(const CudaDevice& device, const KernelLibrary& kernels, Semantics semantics)
    : device_(device),
      kernels_(kernels),
      semantics_(semantics),
      broken_(device),
      tasks_(device),
      probabilities_(device),
      bits_(device),
      changes_(device),
      lasts_(device),
      areas_(device),
      summaries_(device),
      run_lengths_(device, kFirstRuns * sizeof(uint32_t)),
      host_summaries_(device),
      host_run_lengths_(device, kFirstRuns * sizeof(uint32_t)) {}

std::vector<FoundMask> GpuMasks::run(const Stream& stream, Uploader& uploader, DevicePointer logits,
                                     int64_t planes, int64_t side,
                                     std::span<const MaskRequest> requests, float cut,
                                     MaskOutput output) {
  constexpr size_t kAlignment = 16;
  flags_bytes_ =
      (static_cast<size_t>(planes) * sizeof(int32_t) + kAlignment - 1) / kAlignment * kAlignment;
  broken_.grow(stream, flags_bytes_);
  fill_bytes(stream, broken_.data(), std::byte{0}, flags_bytes_);
  kernels_.find_nonfinite(stream, {device_pointer<const float>(logits), planes, side * side,
                                   device_pointer<int32_t>(broken_.data())});
  std::vector<FoundMask> results;
  results.reserve(requests.size());
  for (size_t first = 0; first < requests.size();) {
    size_t end = first + 1;
    uint64_t words = words_of(requests[first]);
    while (end < requests.size() && end - first < kMaxMasks &&
           words + words_of(requests[end]) <= kMaxBitWords) {
      words += words_of(requests[end++]);
    }
    run_some(stream, uploader, logits, side, requests.subspan(first, end - first), cut, output,
             results);
    first = end;
  }
  return results;
}

void GpuMasks::run_some(const Stream& stream, Uploader& uploader, DevicePointer logits,
                        int64_t side, std::span<const MaskRequest> requests, float cut,
                        MaskOutput output, std::vector<FoundMask>& results) {
  const MaskPlan plan = plan_masks(requests, side);
  const size_t count = requests.size();
  const bool hf = semantics_ == Semantics::kHf;
  const size_t plane_bytes = static_cast<size_t>(side * side) * sizeof(float);
  tasks_.grow(stream, count * sizeof(MaskTask));
  probabilities_.grow(stream, hf ? count * plane_bytes : 0);
  std::shared_ptr<DeviceBuffer> kept;  // bits that are asked for belong to the result
  if (output == MaskOutput::kRunLengths) {
    bits_.grow(stream, plan.bit_words * sizeof(uint32_t));
  } else {
    kept = std::make_shared<DeviceBuffer>(device_, plan.bit_words * sizeof(uint32_t));
  }
  const DevicePointer bits = kept ? kept->data() : bits_.data();
  changes_.grow(stream, plan.columns * sizeof(uint32_t));
  lasts_.grow(stream, plan.columns * sizeof(uint32_t));
  areas_.grow(stream, plan.columns * sizeof(uint32_t));
  summaries_.grow(stream, count * sizeof(MaskSummary));
  uploader.upload(stream, tasks_.data(), std::as_bytes(std::span(plan.tasks)));
  MaskArgs args;
  args.logits = device_pointer<const float>(logits);
  args.probabilities = hf ? device_pointer<float>(probabilities_.data()) : nullptr;
  args.tasks = device_pointer<const MaskTask>(tasks_.data());
  args.count = static_cast<int32_t>(count);
  args.side = static_cast<int32_t>(side);
  args.cut = cut;
  args.bits = device_pointer<uint32_t>(bits);
  args.changes = device_pointer<uint32_t>(changes_.data());
  args.lasts = device_pointer<uint32_t>(lasts_.data());
  args.areas = device_pointer<uint32_t>(areas_.data());
  args.summaries = device_pointer<MaskSummary>(summaries_.data());
  const bool lengths = output != MaskOutput::kDeviceBits;
  launch(stream, uploader, args, plan.tasks, lengths ? eager() : 0);

  const std::span summaries(
      reinterpret_cast<const MaskSummary*>(host_summaries_.data() + flags_bytes_), count);
  const uint64_t total = lengths ? summaries.back().begin + summaries.back().runs : 0;
  if (total > capacity()) {
    run_lengths_.reserve(2 * total * sizeof(uint32_t));
    host_run_lengths_.reserve(run_lengths_.size());
    launch(stream, uploader, args, plan.tasks, eager());
  }
  const auto run_lengths = host_run_lengths_.as<uint32_t>(total);
  if (total > eager()) {
    copy_to_host(stream, std::as_writable_bytes(run_lengths.subspan(eager())),
                 run_lengths_.data() + eager() * sizeof(uint32_t));
    uploader.wait(stream);
  }
  const size_t first = results.size();
  results.resize(first + count);
  run_parallel(count, masks_of_a_thread(total, count), [&](size_t i) {
    FoundMask& result = results[first + i];
    int32_t broken = 0;
    std::memcpy(&broken, host_summaries_.data() + requests[i].plane * sizeof(broken),
                sizeof(broken));
    result.finite = broken == 0;
    if (!result.finite) return;
    result.area = summaries[i].area;
    if (lengths) {
      const auto counts = run_lengths.subspan(summaries[i].begin, summaries[i].runs);
      result.counts.assign(counts.begin(), counts.end());
    }
    if (kept) result.bits = {bits + plan.tasks[i].bits * sizeof(uint32_t), kept};
  });
}

/// Runs the kernels and brings flags, summaries and the first `lengths` run lengths to the host.
void GpuMasks::launch(const Stream& stream, Uploader& uploader, const MaskArgs& args,
                      const std::vector<MaskTask>& tasks, uint64_t lengths) {
  MaskArgs all = args;
  all.run_lengths = device_pointer<uint32_t>(run_lengths_.data());
  all.capacity = capacity();
  kernels_.mask_run_lengths(stream, all, tasks);
  const size_t summaries_bytes = tasks.size() * sizeof(MaskSummary);
  host_summaries_.reserve(flags_bytes_ + summaries_bytes);
  const std::span<std::byte> host(host_summaries_.data(), flags_bytes_ + summaries_bytes);
  copy_to_host(stream, host.first(flags_bytes_), broken_.data());
  copy_to_host(stream, host.subspan(flags_bytes_), summaries_.data());
  copy_to_host(stream, std::as_writable_bytes(host_run_lengths_.as<uint32_t>(lengths)),
               run_lengths_.data());
  uploader.wait(stream);
}

/// Run lengths for which there is room on both sides. A buffer that could not grow is empty.
uint64_t GpuMasks::capacity() const {
  return std::min(run_lengths_.size(), host_run_lengths_.size()) / sizeof(uint32_t);
}

/// Run lengths that come with the summaries.
uint64_t GpuMasks::eager() const { return std::min(capacity(), kEagerRuns); }

}  // namespace sam3trt
