#include "gpu/slot_pool.hpp"

#include <utility>

namespace sam3trt {
namespace {

constexpr size_t kAlignment = 256;  // of a slot, in bytes
constexpr size_t kBlockSlots = 8;   // that are allocated together

}  // namespace

DeviceKeptTensor::~DeviceKeptTensor() { pool_->give_back(address_); }

size_t DeviceKeptTensor::count() const { return pool_->count(); }

std::vector<uint16_t> DeviceKeptTensor::bf16() const { return pool_->read(address_); }

SlotPool::SlotPool(const CudaDevice& device, size_t count)
    : device_(device), count_(count), written_(device) {}

std::vector<std::shared_ptr<const DeviceKeptTensor>> SlotPool::take(size_t rows) {
  std::vector<std::shared_ptr<const DeviceKeptTensor>> taken;
  taken.reserve(rows);
  for (size_t row = 0; row < rows; ++row) {
    DevicePointer slot = 0;
    {
      const std::lock_guard lock(mutex_);
      if (free_.empty()) grow();
      slot = free_.back();
      free_.pop_back();
    }
    try {
      taken.push_back(std::make_shared<const DeviceKeptTensor>(shared_from_this(), slot));
    } catch (...) {
      give_back(slot);
      throw;
    }
  }
  return taken;
}

size_t SlotPool::slot_bytes() const {
  return (count_ * sizeof(uint16_t) + kAlignment - 1) / kAlignment * kAlignment;
}

void SlotPool::grow() {
  free_.reserve((blocks_.size() + 1) * kBlockSlots);
  const DeviceBuffer& block = blocks_.emplace_back(device_, kBlockSlots * slot_bytes());
  for (size_t slot = 0; slot < kBlockSlots; ++slot) {
    free_.push_back(block.data() + slot * slot_bytes());
  }
}

void SlotPool::give_back(DevicePointer slot) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(slot);  // for which there is room
}

std::vector<uint16_t> SlotPool::read(DevicePointer address) const {
  const CudaContextScope scope(*device_.context());
  written_.synchronize();
  const Stream stream(device_);
  std::vector<uint16_t> values(count_);
  copy_to_host(stream, std::as_writable_bytes(std::span(values)), address);
  stream.synchronize();
  return values;
}

size_t SlotPool::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return blocks_.size() * kBlockSlots * slot_bytes();
}

}  // namespace sam3trt
