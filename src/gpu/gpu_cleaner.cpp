#include "gpu/gpu_cleaner.hpp"

#include <algorithm>

namespace sam3trt {

GpuCleaner::GpuCleaner(const CudaDevice& device, const KernelLibrary& kernels)
    : kernels_(kernels),
      planes_(device),
      words_(device),
      labels_(device),
      areas_(device),
      totals_(device) {}

void GpuCleaner::run(const Stream& stream, Uploader& uploader,
                     std::span<const DevicePointer> planes, int64_t side, int64_t max_area) {
  constexpr size_t kTogether = 64;  // bounds memory
  if (max_area < 1) return;
  const auto pixels = static_cast<size_t>(side * side);
  const auto words = static_cast<size_t>(side * above_words(side));
  for (size_t first = 0; first < planes.size(); first += kTogether) {
    const auto part = planes.subspan(first, std::min(kTogether, planes.size() - first));
    planes_.grow(stream, part.size_bytes());
    words_.grow(stream, part.size() * words * sizeof(uint64_t));
    labels_.grow(stream, part.size() * pixels * sizeof(uint32_t));
    areas_.grow(stream, part.size() * pixels * sizeof(uint32_t));
    totals_.grow(stream, part.size() * sizeof(uint32_t));
    uploader.upload(stream, planes_.data(), std::as_bytes(part));
    fill_bytes(stream, totals_.data(), std::byte{0}, part.size() * sizeof(uint32_t));
    CleanArgs args;
    args.planes = device_pointer<float* const>(planes_.data());
    args.side = side;
    args.max_area = max_area;
    args.words = device_pointer<uint64_t>(words_.data());
    args.labels = device_pointer<uint32_t>(labels_.data());
    args.areas = device_pointer<uint32_t>(areas_.data());
    args.totals = device_pointer<uint32_t>(totals_.data());
    kernels_.clean_planes(stream, args, part.size());
  }
}

}  // namespace sam3trt
