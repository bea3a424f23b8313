#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "cuda/driver.hpp"

namespace sam3trt {

/// Contexts made from now on set aside fewer bytes for the stack of each of the GPU's threads, of
/// which an H200 has 270,336: with 128 instead of CUDA's 1024 a context of it takes 309 instead of
/// 552 MB. For kernels whose stack the compiler knows the driver sets aside what they need; one
/// that calls through pointers or itself, as none of this program's does, fails where it needs
/// more. It is for a program that has the process to itself: all that a process runs on a GPU
/// shares the context.
void keep_kernel_stacks_small();

/// The primary context of one GPU, the one that CUDA's runtime and TensorRT use, too. Everything
/// made on a GPU keeps it alive.
class CudaContext {
 public:
  CudaContext(const CudaDriver& driver, int device);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  [[nodiscard]] const CudaDriver& driver() const { return driver_; }
  [[nodiscard]] void* handle() const { return handle_; }

 private:
  const CudaDriver& driver_;
  int device_;
  void* handle_ = nullptr;
};

/// Makes a context current on this thread and restores the one before.
class CudaContextScope {
 public:
  explicit CudaContextScope(const CudaContext& context) noexcept
      : driver_(context.driver()), pushed_(driver_.context_push.status(context.handle()) == 0) {}
  ~CudaContextScope();
  CudaContextScope(const CudaContextScope&) = delete;
  CudaContextScope& operator=(const CudaContextScope&) = delete;

 private:
  const CudaDriver& driver_;
  bool pushed_;
};

/// A GPU. The constructor makes its context current on the calling thread; another thread that
/// launches kernels or uses TensorRT calls make_current() first. Buffers, streams, events and
/// graphs may outlive this object; all of them are move-only, and their destructors never throw.
class CudaDevice {
 public:
  /// Throws Error(kUnavailable) when there is no such GPU.
  explicit CudaDevice(int ordinal = 0, const CudaDriver& driver = cuda_driver());

  [[nodiscard]] const CudaDeviceInfo& info() const { return info_; }
  [[nodiscard]] const CudaDriver& driver() const { return context_->driver(); }
  [[nodiscard]] const std::shared_ptr<const CudaContext>& context() const { return context_; }
  void make_current() const;

  /// Bytes of GPU memory that nobody uses.
  [[nodiscard]] size_t free_memory() const;

  /// Bytes of GPU memory that anyone uses.
  [[nodiscard]] size_t used_memory() const { return info_.memory_bytes - free_memory(); }

 private:
  CudaDeviceInfo info_;
  std::shared_ptr<const CudaContext> context_;
};

/// An object of the driver with the function that destroys it.
class CudaHandle {
 public:
  using Destroy = DriverCall<void*> CudaDriver::*;

  CudaHandle() = default;
  CudaHandle(std::shared_ptr<const CudaContext> context, void* value, Destroy destroy)
      : context_(std::move(context)), value_(value), destroy_(destroy) {}
  CudaHandle(CudaHandle&& other) noexcept
      : context_(std::move(other.context_)),
        value_(std::exchange(other.value_, nullptr)),
        destroy_(other.destroy_) {}
  CudaHandle& operator=(CudaHandle&& other) noexcept;
  CudaHandle(const CudaHandle&) = delete;
  CudaHandle& operator=(const CudaHandle&) = delete;
  ~CudaHandle() { reset(); }

  [[nodiscard]] void* get() const { return value_; }
  [[nodiscard]] const std::shared_ptr<const CudaContext>& context() const { return context_; }
  [[nodiscard]] const CudaDriver& driver() const { return context_->driver(); }

 private:
  void reset() noexcept;

  std::shared_ptr<const CudaContext> context_;
  void* value_ = nullptr;
  Destroy destroy_ = nullptr;
};

/// A point in a stream's work.
class Event {
 public:
  explicit Event(const CudaDevice& device);

  [[nodiscard]] void* handle() const { return event_.get(); }

  /// Waits until the GPU has reached it.
  void synchronize() const { event_.driver().event_synchronize(event_.get()); }

  /// Milliseconds between two events that were recorded and reached.
  [[nodiscard]] float milliseconds_since(const Event& begin) const;

 private:
  CudaHandle event_;
};

/// A queue of work that does not wait for the default stream; the handle is also a cudaStream_t.
class Stream {
 public:
  explicit Stream(const CudaDevice& device);

  [[nodiscard]] void* handle() const { return stream_.get(); }
  [[nodiscard]] const CudaDriver& driver() const { return stream_.driver(); }
  [[nodiscard]] const std::shared_ptr<const CudaContext>& context() const {
    return stream_.context();
  }

  /// Waits until the GPU has done all work of this stream.
  void synchronize() const { driver().stream_synchronize(handle()); }
  void record(const Event& event) const { driver().event_record(event.handle(), handle()); }

  /// Later work of this stream waits for the event.
  void wait(const Event& event) const { driver().stream_wait_event(handle(), event.handle(), 0); }

 private:
  CudaHandle stream_;
};

/// Work that was recorded once and is launched as a whole.
class CudaGraph {
 public:
  /// Records what `work` puts into the stream; nothing runs. `work` must not wait for the GPU or
  /// allocate its memory. When it throws, the recording is dropped and the exception goes on.
  CudaGraph(const Stream& stream, const std::function<void()>& work);

  void launch(const Stream& stream) const {
    graph_.driver().graph_launch(graph_.get(), stream.handle());
  }

 private:
  CudaHandle graph_;
};

}  // namespace sam3trt
