#include "gpu/gpu_kept.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

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

class DeviceKeptTensor : public KeptTensor {
 public:
  explicit DeviceKeptTensor(DeviceSlot slot) : slot_(std::move(slot)) {}

  [[nodiscard]] size_t count() const override { return slot_.size_bytes() / sizeof(uint16_t); }
  [[nodiscard]] std::vector<uint16_t> bf16() const override {
    std::vector<uint16_t> values(count());
    slot_.read(std::as_writable_bytes(std::span(values)));
    return values;
  }
  [[nodiscard]] const DeviceSlot& slot() const { return slot_; }

 private:
  DeviceSlot slot_;
};

class DevicePlane : public LogitPlane::Store {
 public:
  explicit DevicePlane(DeviceSlot slot) : slot_(std::move(slot)) {}

  [[nodiscard]] size_t size() const override { return slot_.size_bytes() / sizeof(float); }
  [[nodiscard]] std::span<const float> values() const override {
    std::call_once(copied_, [this] {
      std::vector<float> values(size());
      slot_.read(std::as_writable_bytes(std::span(values)));
      values_ = std::move(values);
    });
    return values_;
  }
  [[nodiscard]] const DeviceSlot& slot() const { return slot_; }

 private:
  DeviceSlot slot_;
  mutable std::once_flag copied_;
  mutable std::vector<float> values_;
};

std::vector<LogitPlane> planes_in(std::vector<DeviceSlot> slots) {
  std::vector<LogitPlane> planes;
  planes.reserve(slots.size());
  for (DeviceSlot& slot : slots) {
    planes.emplace_back(std::make_shared<const DevicePlane>(std::move(slot)));
  }
  return planes;
}

/// Null for a plane that is not in that pool: another backend's stream may have it to write yet.
const DeviceSlot* slot_of(const LogitPlane& plane, const SlotPool* pool) {
  const auto* own = dynamic_cast<const DevicePlane*>(plane.store());
  return own != nullptr && own->slot().pool() == pool ? &own->slot() : nullptr;
}

SlotPool& pool_of(const CudaDevice& device, std::shared_ptr<SlotPool>& pool, size_t bytes) {
  if (!pool) pool = std::make_shared<SlotPool>(device, bytes);
  if (pool->slot_bytes() == bytes) return *pool;
  throw Error(ErrorCode::kInternal, "a backend keeps what has " +
                                        std::to_string(pool->slot_bytes()) +
                                        " bytes, and is given " + std::to_string(bytes));
}

}  // namespace

SlotPool& GpuKept::tensors_of(size_t count) {
  return pool_of(device_, pool_, count * sizeof(uint16_t));
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
  SlotPool& pool = tensors_of(count);
  std::vector<DeviceSlot> slots = pool.take(rows);
  std::vector<DevicePointer> addresses(rows);
  std::ranges::transform(slots, addresses.begin(), &DeviceSlot::address);
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
  std::vector<std::shared_ptr<const KeptTensor>> kept;
  kept.reserve(slots.size());
  for (DeviceSlot& slot : slots) {
    kept.push_back(std::make_shared<const DeviceKeptTensor>(std::move(slot)));
  }
  return kept;
}

std::shared_ptr<const KeptTensor> GpuKept::restore(const Stream& stream, Uploader& uploader,
                                                   std::span<const uint16_t> values) {
  SlotPool& pool = tensors_of(values.size());
  DeviceSlot slot = std::move(pool.take(1).front());
  uploader.upload(stream, slot.address(), std::as_bytes(values));
  pool.written(stream);
  uploader.wait(stream);
  return std::make_shared<const DeviceKeptTensor>(std::move(slot));
}

DevicePointer GpuKept::gather(const Stream& stream, Uploader& uploader, const std::string& name,
                              std::span<const std::shared_ptr<const KeptTensor>> kept, size_t count,
                              DType type) {
  std::vector<DevicePointer> addresses;
  for (const auto& tensor : kept) {
    if (!tensor) addresses.push_back(0);
    const auto* own = dynamic_cast<const DeviceKeptTensor*>(tensor.get());
    if (own != nullptr && own->slot().pool() == pool_.get()) {
      addresses.push_back(own->slot().address());
    }
  }
  const size_t each = pool_ ? pool_->slot_bytes() / sizeof(uint16_t) : 0;
  if (!pool_ || kept.empty() || addresses.size() != kept.size() || count != kept.size() * each) {
    throw Error(ErrorCode::kInternal, name + ": what is kept is another backend's, or not " +
                                          std::to_string(count) + " numbers");
  }
  const DeviceBuffer& target = made(stream, name, count * size_of(type));
  GatherArgs args;
  args.slots = device_pointer<const uint16_t* const>(
      upload_addresses(stream, uploader, name + "/slots", addresses));
  args.target = device_pointer<void>(target.data());
  args.rows = static_cast<int64_t>(kept.size());
  args.count = static_cast<int64_t>(each);
  args.type = kernel_float(type);
  kernels_.gather_rows(stream, args);
  return target.data();
}

std::vector<LogitPlane> GpuKept::keep_planes(const Stream& stream, DevicePointer logits,
                                             std::span<const size_t> planes, size_t size) {
  if (planes.empty()) return {};
  const size_t bytes = size * sizeof(float);
  SlotPool& pool = pool_of(device_, planes_, bytes);
  std::vector<DeviceSlot> slots = pool.take(planes.size());
  for (size_t i = 0; i < planes.size(); ++i) {
    copy_on_device(stream, slots[i].address(), logits + planes[i] * bytes, bytes);
  }
  pool.written(stream);
  return planes_in(std::move(slots));
}

std::vector<LogitPlane> GpuKept::changed(
    const Stream& stream, Uploader& uploader, std::span<const LogitPlane> planes,
    const std::function<void(std::span<const DevicePointer>)>& change) {
  if (planes.empty()) return {};
  const size_t bytes = planes.front().size() * sizeof(float);
  SlotPool& pool = pool_of(device_, planes_, bytes);
  std::vector<DeviceSlot> slots = pool.take(planes.size());
  std::vector<DevicePointer> addresses;
  addresses.reserve(slots.size());
  for (size_t i = 0; i < planes.size(); ++i) {
    if (planes[i].size() * sizeof(float) != bytes) {
      throw Error(ErrorCode::kInternal, "masks to change are not of one size");
    }
    addresses.push_back(slots[i].address());
    place(stream, uploader, addresses.back(), planes[i]);
  }
  change(addresses);
  pool.written(stream);
  return planes_in(std::move(slots));
}

std::vector<LogitPlane> GpuKept::here(const Stream& stream, Uploader& uploader,
                                      std::span<const LogitPlane> planes) {
  std::vector<LogitPlane> own(planes.begin(), planes.end());
  for (LogitPlane& plane : own) {
    if (slot_of(plane, planes_.get()) != nullptr) continue;
    plane = keep_plane(stream, uploader, plane.values());
  }
  return own;
}

DevicePointer GpuKept::address_of(const LogitPlane& plane) const {
  const DeviceSlot* slot = slot_of(plane, planes_.get());
  if (slot == nullptr) throw Error(ErrorCode::kInternal, "a mask is another backend's");
  return slot->address();
}

LogitPlane GpuKept::keep_plane(const Stream& stream, Uploader& uploader,
                               std::span<const float> logits) {
  SlotPool& pool = pool_of(device_, planes_, logits.size_bytes());
  DeviceSlot slot = std::move(pool.take(1).front());
  uploader.upload(stream, slot.address(), std::as_bytes(logits));
  pool.written(stream);
  return LogitPlane(std::make_shared<const DevicePlane>(std::move(slot)));
}

void GpuKept::place(const Stream& stream, Uploader& uploader, DevicePointer to,
                    const LogitPlane& plane) const {
  if (const DeviceSlot* slot = slot_of(plane, planes_.get())) {
    copy_on_device(stream, to, slot->address(), slot->size_bytes());
  } else {
    uploader.upload(stream, to, std::as_bytes(plane.values()));
  }
}

DevicePointer GpuKept::resize(const Stream& stream, Uploader& uploader, const std::string& name,
                              std::span<const ResizedPlane> planes, int64_t side) {
  check_planes(planes, side);
  const auto floats = [](int64_t plane_side) {
    return static_cast<size_t>(plane_side * plane_side) * sizeof(float);
  };
  size_t given = 0;
  for (const ResizedPlane& plane : planes) given += floats(plane.side);
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
        place(stream, uploader, to + plane * floats(side), some[plane].plane);
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
        place(stream, uploader, from, plane.plane);
        from += floats(plane.side);
      }
      kernels_.enlarge(stream, args);
    }
    to += some.size() * floats(side);
  }
  return target.data();
}

}  // namespace sam3trt
