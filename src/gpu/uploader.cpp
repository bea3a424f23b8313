#include "gpu/uploader.hpp"

#include <algorithm>

namespace sam3trt {

void Uploader::upload(const Stream& stream, DevicePointer to, std::span<const std::byte> from) {
  constexpr size_t kAlignment = 64;
  const size_t begin = (used_ + kAlignment - 1) / kAlignment * kAlignment;
  used_ = begin + from.size();
  if (used_ > staging_.size()) {
    stream.synchronize();
    staging_.reserve(2 * used_);
    used_ = from.size();
    std::ranges::copy(from, staging_.data());
    copy_to_device(stream, to, {staging_.data(), from.size()});
    return;
  }
  std::ranges::copy(from, staging_.data() + begin);
  copy_to_device(stream, to, {staging_.data() + begin, from.size()});
}

DevicePointer Uploader::upload(const Stream& stream, const std::string& name,
                               const Tensor& tensor) {
  DeviceBuffer& buffer = named_.try_emplace(name, device_).first->second;
  if (buffer.size() < tensor.bytes().size()) stream.synchronize();
  buffer.reserve(std::max<size_t>(tensor.bytes().size(), 1));
  upload(stream, buffer.data(), tensor.bytes());
  return buffer.data();
}

}  // namespace sam3trt
