#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/device.hpp"

namespace sam3trt {

class SlotPool;

/// A slot of device memory that is its owner's until it goes.
class DeviceSlot {
 public:
  DeviceSlot(std::shared_ptr<SlotPool> pool, DevicePointer address)
      : pool_(std::move(pool)), address_(address) {}
  ~DeviceSlot();
  DeviceSlot(DeviceSlot&&) noexcept = default;
  DeviceSlot& operator=(DeviceSlot&&) = delete;
  DeviceSlot(const DeviceSlot&) = delete;
  DeviceSlot& operator=(const DeviceSlot&) = delete;

  [[nodiscard]] DevicePointer address() const { return address_; }
  [[nodiscard]] const SlotPool* pool() const { return pool_.get(); }
  [[nodiscard]] size_t size_bytes() const;

  /// All of it to the host. Waits for what was written.
  void read(std::span<std::byte> to) const;

 private:
  std::shared_ptr<SlotPool> pool_;
  DevicePointer address_;
};

/// Slots of one size in device memory, which one stream writes and reads. A slot that
/// nobody holds is taken again, so memory is that of the most tensors that were ever held at once;
/// when that many were there, nothing is allocated any more.
///
/// A slot may be taken again while the stream has still to read what was there: whoever writes to
/// it does so in the same stream, after that. For the same reason a call that failed may have left
/// work that writes to slots which it never handed out.
///
/// Slots share the pool: it, its memory and its context are there as long as one of them is, also
/// when stream and backend are gone. They may go in any thread.
class SlotPool : public std::enable_shared_from_this<SlotPool> {
 public:
  SlotPool(const CudaDevice& device, size_t slot_bytes);

  /// Throws Error(kUnavailable) when the GPU's memory is used up; the pool is as before then.
  [[nodiscard]] std::vector<DeviceSlot> take(size_t slots);

  /// After work of the stream that writes to slots and before anyone reads them on the host.
  void written(const Stream& stream) { stream.record(written_); }

  [[nodiscard]] size_t slot_bytes() const { return slot_bytes_; }
  /// Of all slots, taken or not.
  [[nodiscard]] size_t size_bytes() const;

 private:
  friend class DeviceSlot;

  /// From one slot of a block to the next.
  [[nodiscard]] size_t stride() const;
  void grow();
  void read(DevicePointer address, std::span<std::byte> to) const;
  void give_back(DevicePointer slot) noexcept;

  CudaDevice device_;
  size_t slot_bytes_;
  Event written_;  ///< The last time.
  mutable std::mutex mutex_;
  std::vector<DeviceBuffer> blocks_;
  std::vector<DevicePointer> free_;  ///< Has room for all slots.
};

}  // namespace sam3trt
