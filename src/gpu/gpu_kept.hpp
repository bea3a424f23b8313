#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/slot_pool.hpp"
#include "gpu/uploader.hpp"
#include "runtime/kept_tensor.hpp"
#include "runtime/resized_planes.hpp"

namespace sam3trt {

/// Floats in device memory.
struct DeviceFloats {
  DevicePointer address = 0;
  DType type = DType::kF32;
};

/// What the tracker keeps in device memory from frame to frame, and what it puts into components
/// without sending it through the host. Work goes into the stream of the backend; what is kept may
/// outlive this object.
class GpuKept {
 public:
  GpuKept(const CudaDevice& device, const KernelLibrary& kernels)
      : device_(device), kernels_(kernels), broken_(device), host_broken_(device) {}

  /// Each of `rows` rows of `count` numbers, rounded to bfloat16. Waits. Nothing is kept when it
  /// throws: NonFiniteError, in the words of `if_broken`, for numbers that are not finite, or what
  /// the driver says.
  [[nodiscard]] std::vector<std::shared_ptr<const KeptTensor>> keep(const Stream& stream,
                                                                    Uploader& uploader,
                                                                    const DeviceFloats& given,
                                                                    size_t rows, size_t count,
                                                                    const std::string& if_broken);

  /// Numbers of the host. Waits.
  [[nodiscard]] std::shared_ptr<const KeptTensor> restore(const Stream& stream, Uploader& uploader,
                                                          std::span<const uint16_t> values);

  /// All of them one after another, zeros for null, `count` numbers together, in memory that is
  /// theirs under this name. Throws Error(kInternal) when they are not so many or not of this
  /// object.
  [[nodiscard]] DevicePointer gather(const Stream& stream, Uploader& uploader,
                                     const std::string& name,
                                     std::span<const std::shared_ptr<const KeptTensor>> kept,
                                     size_t count, DType type);

  /// Planes of `size` logits by index of those that lie at `logits`, copied as they are. Does not
  /// wait.
  [[nodiscard]] std::vector<LogitPlane> keep_planes(const Stream& stream, DevicePointer logits,
                                                    std::span<const size_t> planes, size_t size);

  /// Copies of planes, which `change` may change: work on them that it puts into the stream, given
  /// their addresses, comes before anyone sees them.
  [[nodiscard]] std::vector<LogitPlane> changed(
      const Stream& stream, Uploader& uploader, std::span<const LogitPlane> planes,
      const std::function<void(std::span<const DevicePointer>)>& change);

  /// The same planes, those that are not kept here as copies that are: all of one size. Throws
  /// Error(kInternal) for another size.
  [[nodiscard]] std::vector<LogitPlane> here(const Stream& stream, Uploader& uploader,
                                             std::span<const LogitPlane> planes);

  /// Of a plane that is kept here. Throws Error(kInternal) for another one.
  [[nodiscard]] DevicePointer address_of(const LogitPlane& plane) const;

  /// Logits of the host. Does not wait.
  [[nodiscard]] LogitPlane keep_plane(const Stream& stream, Uploader& uploader,
                                      std::span<const float> logits);

  /// Copies a plane, of the host or kept here, to where the stream's work finds it.
  void place(const Stream& stream, Uploader& uploader, DevicePointer to,
             const LogitPlane& plane) const;

  /// As resize_planes() makes them, in memory that is theirs under this name.
  [[nodiscard]] DevicePointer resize(const Stream& stream, Uploader& uploader,
                                     const std::string& name, std::span<const ResizedPlane> planes,
                                     int64_t side);

  /// Of the slots of tensors; 0 before anything was kept.
  [[nodiscard]] size_t size_bytes() const { return pool_ ? pool_->size_bytes() : 0; }

 private:
  [[nodiscard]] SlotPool& tensors_of(size_t count);
  [[nodiscard]] DeviceBuffer& made(const Stream& stream, const std::string& name, size_t bytes);
  [[nodiscard]] DevicePointer upload_addresses(const Stream& stream, Uploader& uploader,
                                               const std::string& name,
                                               std::span<const DevicePointer> addresses) const;

  const CudaDevice& device_;
  const KernelLibrary& kernels_;
  std::shared_ptr<SlotPool> pool_;    ///< Of tensors, which all have one size.
  std::shared_ptr<SlotPool> planes_;  ///< Likewise.
  DeviceBuffer broken_;
  PinnedBuffer host_broken_;
  std::map<std::string, DeviceBuffer> made_;
};

}  // namespace sam3trt
