#include "gpu/gpu_bits.hpp"

#include <algorithm>

#include "runtime/stage.hpp"

namespace sam3trt {

GpuBits::GpuBits(const CudaDevice& device, const KernelLibrary& kernels)
    : kernels_(kernels),
      planes_(device),
      words_(device),
      broken_(device),
      host_words_(device),
      host_broken_(device) {}

std::vector<std::vector<uint64_t>> GpuBits::run(const Stream& stream, Uploader& uploader,
                                                std::span<const DevicePointer> planes, int64_t size,
                                                const std::string& if_broken) {
  if (planes.empty()) return {};
  const auto each = static_cast<size_t>(above_words(size));
  const size_t word_bytes = planes.size() * each * sizeof(uint64_t);
  const size_t flag_bytes = planes.size() * sizeof(int32_t);
  planes_.grow(stream, planes.size_bytes());
  words_.grow(stream, word_bytes);
  broken_.grow(stream, flag_bytes);
  host_words_.reserve(word_bytes);
  host_broken_.reserve(flag_bytes);
  uploader.upload(stream, planes_.data(), std::as_bytes(planes));
  fill_bytes(stream, broken_.data(), std::byte{0}, flag_bytes);
  AboveArgs args;
  args.planes = device_pointer<const float* const>(planes_.data());
  args.size = size;
  args.words = device_pointer<uint64_t>(words_.data());
  args.broken = device_pointer<int32_t>(broken_.data());
  kernels_.find_above(stream, args, planes.size());
  const auto words = host_words_.as<uint64_t>(planes.size() * each);
  const auto broken = host_broken_.as<int32_t>(planes.size());
  copy_to_host(stream, std::as_writable_bytes(words), words_.data());
  copy_to_host(stream, std::as_writable_bytes(broken), broken_.data());
  uploader.wait(stream);
  if (std::ranges::any_of(broken, [](int32_t flag) { return flag != 0; })) {
    throw NonFiniteError(if_broken);
  }
  std::vector<std::vector<uint64_t>> found;
  found.reserve(planes.size());
  for (size_t i = 0; i < planes.size(); ++i) {
    const auto part = words.subspan(i * each, each);
    found.emplace_back(part.begin(), part.end());
  }
  return found;
}

}  // namespace sam3trt
