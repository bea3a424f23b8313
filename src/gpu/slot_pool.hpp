#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/device.hpp"
#include "runtime/kept_tensor.hpp"

namespace sam3trt {

class SlotPool;

/// A slot of device memory that is its owner's until it goes.
class DeviceKeptTensor : public KeptTensor {
 public:
  DeviceKeptTensor(std::shared_ptr<SlotPool> pool, DevicePointer address)
      : pool_(std::move(pool)), address_(address) {}
  ~DeviceKeptTensor() override;

  [[nodiscard]] size_t count() const override;
  [[nodiscard]] std::vector<uint16_t> bf16() const override;
  [[nodiscard]] DevicePointer address() const { return address_; }
  [[nodiscard]] const SlotPool* pool() const { return pool_.get(); }

 private:
  std::shared_ptr<SlotPool> pool_;
  DevicePointer address_;
};

/// Slots of one size in device memory, for numbers that one stream writes and reads. A slot that
/// nobody holds is taken again, so memory is that of the most tensors that were ever held at once;
/// when that many were there, nothing is allocated any more.
///
/// A slot may be taken again while the stream has still to read what was there: whoever writes to
/// it does so in the same stream, after that. For the same reason a call that failed may have left
/// work that writes to slots which it never handed out.
///
/// Tensors share the pool: it, its memory and its context are there as long as one of them is, also
/// when stream and backend are gone. They may go in any thread.
class SlotPool : public std::enable_shared_from_this<SlotPool> {
 public:
  /// `count` numbers of bfloat16 a slot.
  SlotPool(const CudaDevice& device, size_t count);

  /// A slot for each of `rows` tensors. Throws Error(kUnavailable) when the GPU's memory is used
  /// up; the pool is as before then.
  [[nodiscard]] std::vector<std::shared_ptr<const DeviceKeptTensor>> take(size_t rows);

  /// After work of the stream that writes to slots and before anyone reads them on the host.
  void written(const Stream& stream) { stream.record(written_); }

  /// Waits for what was written; `address` is a slot's.
  [[nodiscard]] std::vector<uint16_t> read(DevicePointer address) const;

  [[nodiscard]] size_t count() const { return count_; }
  /// Of all slots, taken or not.
  [[nodiscard]] size_t size_bytes() const;

 private:
  friend class DeviceKeptTensor;

  [[nodiscard]] size_t slot_bytes() const;
  void grow();
  void give_back(DevicePointer slot) noexcept;

  CudaDevice device_;
  size_t count_;
  Event written_;  ///< The last time.
  mutable std::mutex mutex_;
  std::vector<DeviceBuffer> blocks_;
  std::vector<DevicePointer> free_;  ///< Has room for all slots.
};

}  // namespace sam3trt
