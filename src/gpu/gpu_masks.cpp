#include "gpu/gpu_masks.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kMaxBitWords = uint64_t{32} << 20U;  // 128 MiB of bits at once
constexpr size_t kMaxMasks = 4096;                      // at once
constexpr uint64_t kFirstPositions = uint64_t{1} << 20U;
constexpr uint64_t kEagerPositions = uint64_t{1} << 16U;  // copied before their number is known

uint64_t words_of(const MaskRequest& request) {
  return static_cast<uint64_t>((request.height + 31) / 32 * request.width);
}

}  // namespace

GpuMasks::GpuMasks(const CudaDevice& device, const KernelLibrary& kernels, Semantics semantics)
    : kernels_(kernels),
      semantics_(semantics),
      broken_(device, sizeof(int32_t)),
      tasks_(device),
      probabilities_(device),
      bits_(device),
      runs_(device),
      areas_(device),
      summaries_(device),
      positions_(device, kFirstPositions * sizeof(uint32_t)),
      host_(device) {}

std::vector<RunLengths> GpuMasks::run(const Stream& stream, Uploader& uploader,
                                      DevicePointer logits, int64_t planes, int64_t side,
                                      std::span<const MaskRequest> requests, float threshold) {
  fill_bytes(stream, broken_.data(), std::byte{0}, sizeof(int32_t));
  kernels_.find_nonfinite(stream, {device_pointer<const float>(logits), planes * side * side,
                                   device_pointer<int32_t>(broken_.data())});
  std::vector<RunLengths> results;
  results.reserve(requests.size());
  for (size_t first = 0; first < requests.size();) {
    size_t end = first + 1;
    uint64_t words = words_of(requests[first]);
    while (end < requests.size() && end - first < kMaxMasks &&
           words + words_of(requests[end]) <= kMaxBitWords) {
      words += words_of(requests[end++]);
    }
    run_some(stream, uploader, logits, side, requests.subspan(first, end - first), threshold,
             results);
    first = end;
  }
  return results;
}

void GpuMasks::run_some(const Stream& stream, Uploader& uploader, DevicePointer logits,
                        int64_t side, std::span<const MaskRequest> requests, float threshold,
                        std::vector<RunLengths>& results) {
  const MaskPlan plan = plan_masks(requests, side);
  const size_t count = requests.size();
  const bool hf = semantics_ == Semantics::kHf;
  const size_t plane_bytes = static_cast<size_t>(side * side) * sizeof(float);
  tasks_.reserve(count * sizeof(MaskTask));
  probabilities_.reserve(hf ? count * plane_bytes : 0);
  bits_.reserve(plan.bit_words * sizeof(uint32_t));
  runs_.reserve(plan.columns * sizeof(uint32_t));
  areas_.reserve(plan.columns * sizeof(uint32_t));
  summaries_.reserve(count * sizeof(MaskSummary));
  uploader.upload(stream, tasks_.data(), std::as_bytes(std::span(plan.tasks)));
  MaskArgs args;
  args.logits = device_pointer<const float>(logits);
  args.probabilities = hf ? device_pointer<float>(probabilities_.data()) : nullptr;
  args.tasks = device_pointer<const MaskTask>(tasks_.data());
  args.count = static_cast<int32_t>(count);
  args.side = static_cast<int32_t>(side);
  args.cut = mask_cut(semantics_, threshold);
  args.bits = device_pointer<uint32_t>(bits_.data());
  args.runs = device_pointer<uint32_t>(runs_.data());
  args.areas = device_pointer<uint32_t>(areas_.data());
  args.summaries = device_pointer<MaskSummary>(summaries_.data());
  launch(stream, args, plan.tasks);

  const auto summaries_bytes = count * sizeof(MaskSummary);
  const auto* summaries = reinterpret_cast<const MaskSummary*>(host_.data() + 16);
  const uint64_t total = summaries[count - 1].begin + summaries[count - 1].changes;
  if (total * sizeof(uint32_t) > positions_.size()) {
    positions_.reserve(2 * total * sizeof(uint32_t));
    launch(stream, args, plan.tasks);
  }
  std::vector<uint32_t> positions(total);
  const auto target = std::as_writable_bytes(std::span(positions));
  const size_t eager = std::min<size_t>(total, kEagerPositions) * sizeof(uint32_t);
  std::memcpy(target.data(), host_.data() + 16 + summaries_bytes, eager);
  if (target.size() > eager) {
    copy_to_host(stream, target.subspan(eager), positions_.data() + eager);
    stream.synchronize();
  }
  for (size_t i = 0; i < count; ++i) {
    const auto changes = std::span(positions).subspan(summaries[i].begin, summaries[i].changes);
    results.push_back(
        {summaries[i].area, rle_from_changes(changes, requests[i].height, requests[i].width)});
  }
}

/// Runs the kernels and brings [flag, summaries, first positions] to the host.
void GpuMasks::launch(const Stream& stream, const MaskArgs& args,
                      const std::vector<MaskTask>& tasks) {
  MaskArgs all = args;
  all.positions = device_pointer<uint32_t>(positions_.data());
  all.capacity = positions_.size() / sizeof(uint32_t);
  kernels_.mask_changes(stream, all, tasks);
  const size_t summaries_bytes = tasks.size() * sizeof(MaskSummary);
  const size_t eager_bytes = kEagerPositions * sizeof(uint32_t);
  host_.reserve(16 + summaries_bytes + eager_bytes);
  const std::span<std::byte> host(host_.data(), 16 + summaries_bytes + eager_bytes);
  copy_to_host(stream, host.first(sizeof(int32_t)), broken_.data());
  copy_to_host(stream, host.subspan(16, summaries_bytes), summaries_.data());
  copy_to_host(stream, host.subspan(16 + summaries_bytes), positions_.data());
  stream.synchronize();
  int32_t broken = 0;
  std::memcpy(&broken, host.data(), sizeof(broken));
  if (broken == 0) return;
  throw Error(ErrorCode::kInternal,
              "the mask_head gave non-finite numbers; its precision or its weights are at fault: "
              "try fp32, and run 'sam3trt inspect' on the checkpoint");
}

}  // namespace sam3trt
