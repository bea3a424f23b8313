#pragma once

#include <cstdint>

#include "base/tensor.hpp"
#include "cuda/driver.hpp"

namespace sam3trt {

/// Self-attention of packed projections, after the rotary embedding of queries and keys.
struct RotaryAttention {
  DType type = DType::kF16;  ///< kF16 or kBF16
  DevicePointer qkv = 0;     ///< [B, T, 3, H, D]; queries carry the factor 1/sqrt(D)
  DevicePointer cos = 0;     ///< float32 [N, D / 2]; channel i of a head rotates with i + D / 2
  DevicePointer sin = 0;
  DevicePointer result = 0;   ///< [B, T, H, D]
  DevicePointer scratch = 0;  ///< scratch_bytes()
  int64_t batches = 0;        ///< B
  int64_t tokens = 0;         ///< T, a multiple of N: attention stays within windows of N tokens
  int64_t window = 0;         ///< N
  int64_t heads = 0;          ///< H
  int64_t head_dim = 0;       ///< D

  [[nodiscard]] uint64_t scratch_bytes() const {
    return static_cast<uint64_t>(batches * tokens * heads * head_dim) * 2;
  }
};

/// The kernels of src/cuda/kernels/attention.cu, for the context that is current when they are
/// launched.
class AttentionKernels {
 public:
  /// Throws Error(kUnavailable) where the driver cannot load them.
  explicit AttentionKernels(const CudaDriver& driver);
  ~AttentionKernels();
  AttentionKernels(const AttentionKernels&) = delete;
  AttentionKernels& operator=(const AttentionKernels&) = delete;

  /// Whether there is a kernel for heads of this size.
  [[nodiscard]] static bool supports(int64_t head_dim);

  /// Puts the work into a stream (CUstream) and returns; it neither waits nor allocates. Throws
  /// Error(kInternal) for sizes that make no sense.
  void launch(const RotaryAttention& attention, void* stream) const;

 private:
  struct Functions {
    void* attention = nullptr;
    void* rotate_keys = nullptr;
  };

  [[nodiscard]] const Functions& functions(DType type, int64_t head_dim) const;

  static constexpr int kTypes = 2;
  static constexpr int kSizes = 3;

  const CudaDriver& driver_;
  void* library_ = nullptr;
  Functions functions_[kTypes][kSizes];
};

/// Those of this machine's driver, loaded by the first call, which may throw.
[[nodiscard]] const AttentionKernels& attention_kernels();

}  // namespace sam3trt
