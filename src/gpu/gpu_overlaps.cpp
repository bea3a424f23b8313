#include "gpu/gpu_overlaps.hpp"

namespace sam3trt {

GpuOverlaps::GpuOverlaps(const CudaDevice& device, const KernelLibrary& kernels)
    : kernels_(kernels), planes_(device), areas_(device), host_(device) {}

std::vector<int64_t> GpuOverlaps::won_areas(const Stream& stream, Uploader& uploader,
                                            std::span<const DevicePointer> planes, int64_t size) {
  const size_t bytes = planes.size() * sizeof(uint32_t);
  planes_.grow(stream, planes.size_bytes());
  areas_.grow(stream, bytes);
  host_.reserve(bytes);
  uploader.upload(stream, planes_.data(), std::as_bytes(planes));
  fill_bytes(stream, areas_.data(), std::byte{0}, bytes);
  WonArgs args;
  args.planes = device_pointer<const float* const>(planes_.data());
  args.count = static_cast<int64_t>(planes.size());
  args.size = size;
  args.areas = device_pointer<uint32_t>(areas_.data());
  kernels_.count_won(stream, args);
  const auto areas = host_.as<uint32_t>(planes.size());
  copy_to_host(stream, std::as_writable_bytes(areas), areas_.data());
  uploader.wait(stream);
  return {areas.begin(), areas.end()};
}

void GpuOverlaps::lower(const Stream& stream, Uploader& uploader,
                        std::span<const DevicePointer> planes, int64_t size, float most) {
  planes_.grow(stream, planes.size_bytes());
  uploader.upload(stream, planes_.data(), std::as_bytes(planes));
  LowerArgs args;
  args.planes = device_pointer<float* const>(planes_.data());
  args.size = size;
  args.most = most;
  kernels_.lower_planes(stream, args, planes.size());
}

}  // namespace sam3trt
