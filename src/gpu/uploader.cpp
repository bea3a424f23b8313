#include "gpu/uploader.hpp"

#include <algorithm>

namespace sam3trt {

void Uploader::upload(const Stream& stream, DevicePointer to, std::span<const std::byte> from) {
  constexpr size_t kAlignment = 64;
  size_t begin = (used_ + kAlignment - 1) / kAlignment * kAlignment;
  if (begin + from.size() > staging_.size()) {
    wait(stream);
    staging_.reserve(2 * (begin + from.size()));
    begin = 0;
  }
  used_ = begin + from.size();  // before the copy: one that fails may have been queued
  std::ranges::copy(from, staging_.data() + begin);
  copy_to_device(stream, to, {staging_.data() + begin, from.size()});
}

DevicePointer Uploader::upload(const Stream& stream, const std::string& name,
                               const Tensor& tensor) {
  DeviceBuffer& buffer = named_.try_emplace(name, device_).first->second;
  buffer.grow(stream, std::max<size_t>(tensor.bytes().size(), 1));
  upload(stream, buffer.data(), tensor.bytes());
  return buffer.data();
}

void Uploader::wait(const Stream& stream) {
  stream.synchronize();
  used_ = 0;
}

}  // namespace sam3trt
