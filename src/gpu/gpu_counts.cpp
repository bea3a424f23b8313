#include "gpu/gpu_counts.hpp"

#include "runtime/stage.hpp"

namespace sam3trt {

GpuCounts::GpuCounts(const CudaDevice& device, const KernelLibrary& kernels)
    : kernels_(kernels), planes_(device), counts_(device), host_(device) {}

std::vector<std::array<int64_t, 2>> GpuCounts::run(const Stream& stream, Uploader& uploader,
                                                   DevicePointer logits, int64_t size,
                                                   std::span<const size_t> planes, float high,
                                                   float low) {
  if (planes.empty()) return {};
  const std::vector<uint64_t> wanted(planes.begin(), planes.end());
  const size_t parts = planes.size() * kCountParts;
  planes_.grow(stream, wanted.size() * sizeof(uint64_t));
  counts_.grow(stream, parts * sizeof(LogitCounts));
  host_.reserve(parts * sizeof(LogitCounts));
  uploader.upload(stream, planes_.data(), std::as_bytes(std::span(wanted)));
  CountArgs args;
  args.values = device_pointer<const float>(logits);
  args.planes = device_pointer<const uint64_t>(planes_.data());
  args.size = size;
  args.high = high;
  args.low = low;
  args.counts = device_pointer<LogitCounts>(counts_.data());
  kernels_.count_logits(stream, args, planes.size());
  const auto found = host_.as<LogitCounts>(parts);
  copy_to_host(stream, std::as_writable_bytes(found), counts_.data());
  uploader.wait(stream);
  std::vector<std::array<int64_t, 2>> sums(planes.size());
  for (size_t i = 0; i < parts; ++i) {
    if (found[i].broken != 0) throw NonFiniteError(nonfinite_in("sam_decoder", "sam_masks"));
    sums[i / kCountParts][0] += found[i].above_high;
    sums[i / kCountParts][1] += found[i].above_low;
  }
  return sums;
}

}  // namespace sam3trt
