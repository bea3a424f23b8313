#include "gpu/gpu_kept.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

KernelFloat kernel_float(DType type) {
  switch (type) {
    case DType::kF32:
      return KernelFloat::kF32;
    case DType::kF16:
      return KernelFloat::kF16;
    case DType::kBF16:
      return KernelFloat::kBF16;
    default:
      throw Error(ErrorCode::kInternal,
                  "what is kept cannot be " + std::string(name_of(type)) + ", only floats");
  }
}

}  // namespace

SlotPool& GpuKept::pool_of(size_t count) {
  if (!pool_) pool_ = std::make_shared<SlotPool>(device_, count);
  if (pool_->count() == count) return *pool_;
  throw Error(ErrorCode::kInternal, "a backend keeps tensors of " + std::to_string(pool_->count()) +
                                        " numbers, and is given one of " + std::to_string(count));
}

DeviceBuffer& GpuKept::made(const Stream& stream, const std::string& name, size_t bytes) {
  DeviceBuffer& buffer = made_.try_emplace(name, device_).first->second;
  buffer.grow(stream, std::max<size_t>(bytes, 1));
  return buffer;
}

DevicePointer GpuKept::upload_addresses(const Stream& stream, Uploader& uploader,
                                        const std::string& name,
                                        std::span<const DevicePointer> addresses) const {
  Tensor table(DType::kI64, {static_cast<int64_t>(addresses.size())});
  std::ranges::transform(addresses, table.i64().begin(),
                         [](DevicePointer address) { return static_cast<int64_t>(address); });
  return uploader.upload(stream, name, table);
}

std::vector<std::shared_ptr<const KeptTensor>> GpuKept::keep(const Stream& stream,
                                                             Uploader& uploader,
                                                             const DeviceFloats& given, size_t rows,
                                                             size_t count,
                                                             const std::string& if_broken) {
  SlotPool& pool = pool_of(count);
  const auto slots = pool.take(rows);
  std::vector<DevicePointer> addresses(rows);
  std::ranges::transform(slots, addresses.begin(),
                         [](const auto& slot) { return slot->address(); });
  const size_t flags = rows * sizeof(int32_t);
  broken_.grow(stream, flags);
  host_broken_.reserve(flags);
  fill_bytes(stream, broken_.data(), std::byte{0}, flags);
  KeepArgs args;
  args.source = device_pointer<const void>(given.address);
  args.slots =
      device_pointer<uint16_t* const>(upload_addresses(stream, uploader, "kept_rows", addresses));
  args.broken = device_pointer<int32_t>(broken_.data());
  args.rows = static_cast<int64_t>(rows);
  args.count = static_cast<int64_t>(count);
  args.type = kernel_float(given.type);
  kernels_.keep_rows(stream, args);
  pool.written(stream);
  const auto broken = host_broken_.as<int32_t>(rows);
  copy_to_host(stream, std::as_writable_bytes(broken), broken_.data());
  uploader.wait(stream);
  if (std::ranges::any_of(broken, [](int32_t flag) { return flag != 0; })) {
    throw NonFiniteError(if_broken);
  }
  return {slots.begin(), slots.end()};
}

std::shared_ptr<const KeptTensor> GpuKept::restore(const Stream& stream, Uploader& uploader,
                                                   std::span<const uint16_t> values) {
  SlotPool& pool = pool_of(values.size());
  const auto slot = pool.take(1).front();
  uploader.upload(stream, slot->address(), std::as_bytes(values));
  pool.written(stream);
  uploader.wait(stream);
  return slot;
}

DevicePointer GpuKept::gather(const Stream& stream, Uploader& uploader, const std::string& name,
                              std::span<const std::shared_ptr<const KeptTensor>> kept, size_t count,
                              DType type) {
  std::vector<DevicePointer> addresses;
  for (const auto& tensor : kept) {
    if (!tensor) addresses.push_back(0);
    const auto* own = dynamic_cast<const DeviceKeptTensor*>(tensor.get());
    if (own != nullptr && own->pool() == pool_.get()) addresses.push_back(own->address());
  }
  if (!pool_ || kept.empty() || addresses.size() != kept.size() ||
      count != kept.size() * pool_->count()) {
    throw Error(ErrorCode::kInternal, name + ": what is kept is another backend's, or not " +
                                          std::to_string(count) + " numbers");
  }
  const DeviceBuffer& target = made(stream, name, count * size_of(type));
  GatherArgs args;
  args.slots = device_pointer<const uint16_t* const>(
      upload_addresses(stream, uploader, name + "/slots", addresses));
  args.target = device_pointer<void>(target.data());
  args.rows = static_cast<int64_t>(kept.size());
  args.count = static_cast<int64_t>(pool_->count());
  args.type = kernel_float(type);
  kernels_.gather_rows(stream, args);
  return target.data();
}

DevicePointer GpuKept::resize(const Stream& stream, Uploader& uploader, const std::string& name,
                              std::span<const ResizedPlane> planes, int64_t side) {
  check_planes(planes, side);
  const auto floats = [](int64_t plane_side) {
    return static_cast<size_t>(plane_side * plane_side) * sizeof(float);
  };
  size_t given = 0;
  for (const ResizedPlane& plane : planes) given += plane.values.size_bytes();
  const DeviceBuffer& source = made(stream, name + "/planes", given);
  const DeviceBuffer& target = made(stream, name, planes.size() * floats(side));
  DevicePointer from = source.data();
  DevicePointer to = target.data();
  for (size_t i = 0; i < planes.size();) {
    const ResizedPlane& first = planes[i];
    const auto alike = [&](const ResizedPlane& plane) {
      return plane.side == first.side && plane.through == first.through;
    };
    const auto rest = planes.subspan(i);
    const auto end = std::ranges::find_if_not(rest, alike);
    const auto some = rest.first(static_cast<size_t>(end - rest.begin()));
    i += some.size();
    if (first.through == 0 && first.side == side) {
      for (size_t plane = 0; plane < some.size(); ++plane) {
        uploader.upload(stream, to + plane * floats(side), std::as_bytes(some[plane].values));
      }
    } else if (first.last_side() > side) {
      // Antialias on the way down looks at more than neighbours.
      uploader.upload(stream, to, resize_planes(some, side).bytes());
    } else {
      EnlargeArgs args;
      args.source = device_pointer<const float>(from);
      args.target = device_pointer<float>(to);
      args.planes = static_cast<int32_t>(some.size());
      args.from = static_cast<int32_t>(first.side);
      args.through = static_cast<int32_t>(first.through);
      args.to = static_cast<int32_t>(side);
      for (const ResizedPlane& plane : some) {
        uploader.upload(stream, from, std::as_bytes(plane.values));
        from += plane.values.size_bytes();
      }
      kernels_.enlarge(stream, args);
    }
    to += some.size() * floats(side);
  }
  return target.data();
}

}  // namespace sam3trt
