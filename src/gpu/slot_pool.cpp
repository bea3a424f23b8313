#include "gpu/slot_pool.hpp"

#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kAlignment = 256;  // of a slot, in bytes
constexpr size_t kBlockSlots = 8;   // that are allocated together

}  // namespace

DeviceSlot::~DeviceSlot() {
  if (pool_) pool_->give_back(address_);
}

size_t DeviceSlot::size_bytes() const { return pool_->slot_bytes(); }

void DeviceSlot::read(std::span<std::byte> to) const { pool_->read(address_, to); }

SlotPool::SlotPool(const CudaDevice& device, size_t slot_bytes)
    : device_(device), slot_bytes_(slot_bytes), written_(device) {}

std::vector<DeviceSlot> SlotPool::take(size_t slots) {
  std::vector<DeviceSlot> taken;
  taken.reserve(slots);
  const std::lock_guard lock(mutex_);
  while (free_.size() < slots) grow();
  for (size_t i = 0; i < slots; ++i) {
    taken.emplace_back(shared_from_this(), free_.back());
    free_.pop_back();
  }
  return taken;
}

size_t SlotPool::stride() const { return (slot_bytes_ + kAlignment - 1) / kAlignment * kAlignment; }

void SlotPool::grow() {
  free_.reserve((blocks_.size() + 1) * kBlockSlots);
  const DeviceBuffer& block = blocks_.emplace_back(device_, kBlockSlots * stride());
  for (size_t slot = 0; slot < kBlockSlots; ++slot) {
    free_.push_back(block.data() + slot * stride());
  }
}

void SlotPool::give_back(DevicePointer slot) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(slot);  // for which there is room
}

void SlotPool::read(DevicePointer address, std::span<std::byte> to) const {
  if (to.size() != slot_bytes_) {
    throw Error(ErrorCode::kInternal, "a slot is read whole");
  }
  const CudaContextScope scope(*device_.context());
  written_.synchronize();
  const Stream stream(device_);
  copy_to_host(stream, to, address);
  stream.synchronize();
}

size_t SlotPool::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return blocks_.size() * kBlockSlots * stride();
}

}  // namespace sam3trt
