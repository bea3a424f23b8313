#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/own_operators.hpp"
#include "base/tensor.hpp"
#include "cuda/driver.hpp"

namespace sam3trt {

struct AttentionArgs;

/// The operator kPlainAttention (base/own_operators.hpp) in device memory.
struct PlainAttention {
  DType type = DType::kF16;  ///< kF16 or kBF16
  DevicePointer query = 0;   ///< [P, Q, H, D]; carries the factor 1/sqrt(D)
  DevicePointer key = 0;     ///< [P, K, H, D]
  DevicePointer value = 0;   ///< [P, K, H, D]
  DevicePointer result = 0;  ///< [P, Q, H, D]
  int64_t prompts = 0;       ///< P
  int64_t queries = 0;       ///< Q
  int64_t keys = 0;          ///< K
  int64_t heads = 0;         ///< H
  int64_t head_dim = 0;      ///< D

  [[nodiscard]] bool fits() const;
};

/// The operator kRotaryAttention (base/own_operators.hpp) in device memory.
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

  /// For rotated keys.
  [[nodiscard]] uint64_t scratch_bytes() const;
};

/// The bias of kGridAttention in device memory.
struct BoxBias {
  /// Rows or columns.
  struct Axis {
    DevicePointer hidden_weight = 0;  ///< float32 [2, M]
    DevicePointer hidden_bias = 0;    ///< float32 [M]
    DevicePointer weight = 0;         ///< float32 [M, H]
    DevicePointer bias = 0;           ///< float32 [H]
    DevicePointer result = 0;         ///< float32 [P, H, Q, lines]
    int64_t lines = 0;                ///< Y or X
  };

  DevicePointer boxes = 0;  ///< float32 [P, B, 4] cx cy w h in 0..1
  Axis rows;
  Axis columns;
  int64_t prompts = 0;  ///< P
  int64_t queries = 0;  ///< Q
  int64_t boxed = 0;    ///< B, at most Q: the last ones; others get zeros
  int64_t hidden = 0;   ///< M
  int64_t heads = 0;    ///< H

  [[nodiscard]] bool fits() const;
};

/// The operator kQueryPosition in device memory; all float32.
struct QueryPosition {
  DevicePointer boxes = 0;          ///< [P, Q - U, 4]
  DevicePointer frequencies = 0;    ///< [F]
  DevicePointer hidden_weight = 0;  ///< [8 * F, M]
  DevicePointer hidden_bias = 0;    ///< [M]
  DevicePointer weight = 0;         ///< [M, D]
  DevicePointer bias = 0;           ///< [D]
  DevicePointer result = 0;         ///< [P, Q, D]
  int64_t prompts = 0;              ///< P
  int64_t queries = 0;              ///< Q
  int64_t unboxed = 0;              ///< U
  int64_t frequency_count = 0;      ///< F
  int64_t hidden = 0;               ///< M
  int64_t width = 0;                ///< D

  [[nodiscard]] bool fits() const;
};

/// The attention of kGridAttention in device memory, its bias given.
struct GridAttention {
  DType type = DType::kF16;       ///< kF16 or kBF16
  DevicePointer query = 0;        ///< [P, Q, H, D]; carries the factor 1/sqrt(D)
  DevicePointer key = 0;          ///< [P, Y * X, H, D]
  DevicePointer value = 0;        ///< [P, Y * X, H, D]
  DevicePointer row_bias = 0;     ///< float32 [P, H, Q, Y]
  DevicePointer column_bias = 0;  ///< float32 [P, H, Q, X]
  DevicePointer result = 0;       ///< [P, Q, H, D]
  int64_t prompts = 0;            ///< P
  int64_t queries = 0;            ///< Q
  int64_t rows = 0;               ///< Y
  int64_t columns = 0;            ///< X
  int64_t heads = 0;              ///< H
  int64_t head_dim = 0;           ///< D

  /// Whether the sizes make sense and the bias of a block's queries fits into the memory that it
  /// shares: Y + X up to about 200.
  [[nodiscard]] bool fits() const;
};

/// The operators kMemoryAttention and kRotatedAttention (base/own_operators.hpp) in device memory.
struct MemoryAttention {
  DType type = DType::kF16;       ///< kF16 or kBF16
  DevicePointer query = 0;        ///< [B, Q, D], D = kMemoryHeadDim; carries the factor 1/sqrt(D)
  DevicePointer rotated_key = 0;  ///< [B, R, D]; key r is rotated as query r % Q is
  DevicePointer plain_key = 0;    ///< [B, P, D], not rotated
  DevicePointer value = 0;        ///< [B, R + P, X]
  DevicePointer bias = 0;         ///< float32 [B, R + P], or 0: all keys are there
  DevicePointer cos = 0;          ///< float32 [Q, D / 2]; channel i rotates with i + D / 2
  DevicePointer sin = 0;
  DevicePointer result = 0;   ///< [B, Q, X]
  DevicePointer scratch = 0;  ///< scratch_bytes(), at a multiple of 128
  int64_t batches = 0;        ///< B
  int64_t queries = 0;        ///< Q
  int64_t rotated_keys = 0;   ///< R, a multiple of Q, at least one
  int64_t plain_keys = 0;     ///< P
  int64_t value_dim = 0;      ///< X

  [[nodiscard]] bool fits() const;
  /// For counts and tiles of keys and values and for shares of query tiles, on any GPU.
  [[nodiscard]] uint64_t scratch_bytes() const;
};

/// LayerNormalization of rows in device memory, before a product.
struct NormalisedRows {
  static constexpr int64_t kMostColumns = kMostNormalisedColumns;

  DType type = DType::kF16;  ///< kF16 or kBF16: of the input
  bool fp8 = false;          ///< The result is E4M3, else of the type.
  DevicePointer input = 0;   ///< [M, N]
  DevicePointer gain = 0;    ///< float32 [N]
  DevicePointer shift = 0;   ///< float32 [N]
  DevicePointer factor = 0;  ///< float32: what E4M3 values are multiplied by before rounding
  DevicePointer result = 0;  ///< [M, N]
  float epsilon = 0;
  int64_t rows = 0;     ///< M
  int64_t columns = 0;  ///< N, a multiple of 8, at most kMostColumns

  [[nodiscard]] bool fits() const;
};

/// The operator kResidualNorm in device memory.
struct ResidualNorm {
  DType type = DType::kF16;    ///< kF16 or kBF16: of what is added and of the result
  DevicePointer added = 0;     ///< [M, N]
  DevicePointer residual = 0;  ///< float32 [M, N]
  DevicePointer gain = 0;      ///< float32 [N]
  DevicePointer shift = 0;     ///< float32 [N]
  DevicePointer result = 0;    ///< [M, N]
  DevicePointer sum = 0;       ///< float32 [M, N]
  float epsilon = 0;
  int64_t rows = 0;     ///< M
  int64_t columns = 0;  ///< N, a multiple of 8, at most kMostNormalisedColumns

  [[nodiscard]] bool fits() const;
};

/// The operator kGatheredNorm in device memory.
struct GatheredNorm {
  DType type = DType::kF16;    ///< kF16 or kBF16: of the input and of both results
  DevicePointer input = 0;     ///< [P, T, N]
  DevicePointer index = 0;     ///< int64 [R]
  DevicePointer gain = 0;      ///< float32 [N]
  DevicePointer shift = 0;     ///< float32 [N]
  DevicePointer result = 0;    ///< [R, T, N]
  DevicePointer gathered = 0;  ///< [R, T, N]
  float epsilon = 0;
  int64_t blocks = 0;   ///< P
  int64_t block = 0;    ///< T
  int64_t indices = 0;  ///< R
  int64_t columns = 0;  ///< N, a multiple of 8, at most kMostNormalisedColumns

  [[nodiscard]] bool fits() const;
};

/// The operator kUpsampledSum in device memory, its result [R, H, W, D].
struct UpsampledSum {
  DType type = DType::kF16;  ///< kF16 or kBF16
  DevicePointer coarse = 0;  ///< [R, H / 2, W / 2, D]
  DevicePointer level = 0;   ///< [B, D, H, W]
  DevicePointer index = 0;   ///< int64 [R]
  DevicePointer result = 0;  ///< [R, H, W, D]
  int64_t rows = 0;          ///< R
  int64_t images = 0;        ///< B
  int64_t channels = 0;      ///< D
  int64_t height = 0;        ///< H
  int64_t width = 0;         ///< W

  [[nodiscard]] bool fits() const;
};

/// The operator kGroupNorm in device memory, of maps as [R, H * W, D].
struct GroupNorm {
  DType type = DType::kF16;   ///< kF16 or kBF16
  DevicePointer input = 0;    ///< [R, N, D]
  DevicePointer gain = 0;     ///< float32 [D]
  DevicePointer shift = 0;    ///< float32 [D]
  DevicePointer result = 0;   ///< [R, N, D]
  DevicePointer scratch = 0;  ///< scratch_bytes()
  float epsilon = 0;
  int64_t rows = 0;      ///< R
  int64_t pixels = 0;    ///< N
  int64_t channels = 0;  ///< D
  int64_t groups = 0;    ///< G

  [[nodiscard]] bool fits() const;
  /// For sums of shares of the pixels.
  [[nodiscard]] uint64_t scratch_bytes() const;
};

/// The operator kPatches in device memory.
struct Patches {
  DType type = DType::kF16;  ///< kF16 or kBF16: of the result
  DevicePointer pixels = 0;  ///< float32 [B, C, G * P, G * P]
  DevicePointer result = 0;  ///< [B, G * G, patch_columns(C * P * P)]
  int64_t images = 0;        ///< B
  int64_t channels = 0;      ///< C
  int64_t patch = 0;         ///< P
  int64_t grid = 0;          ///< G
  int64_t window = 0;        ///< W

  [[nodiscard]] bool fits() const;
};

/// The operator kWindowMap in device memory, its map [B, G, G, N].
struct WindowMap {
  DevicePointer input = 0;  ///< [B, G * G, N] of 16-bit values
  DevicePointer map = 0;    ///< [B, G, G, N]
  DevicePointer rows = 0;   ///< [B, G * G, N]
  int64_t images = 0;       ///< B
  int64_t grid = 0;         ///< G
  int64_t window = 0;
  int64_t columns = 0;  ///< N

  [[nodiscard]] bool fits() const;
};

/// 16-bit floats in device memory to E4M3.
struct QuantisedValues {
  DType type = DType::kF16;  ///< kF16 or kBF16
  DevicePointer input = 0;   ///< [count]
  DevicePointer factor = 0;  ///< float32: what values are multiplied by before rounding
  DevicePointer result = 0;  ///< [count]
  int64_t count = 0;         ///< A multiple of 8

  [[nodiscard]] bool fits() const;
};

/// Which instructions multiply: mma.sync, which all GPUs have, or wgmma, which is faster and which
/// GPUs of compute capability 9.0 have for heads of 32 and 64 channels and for attention to
/// memories.
enum class AttentionForm { kMma, kWarpgroup };

[[nodiscard]] bool has_form(const CudaDeviceInfo& gpu, AttentionForm form);

/// The kernels of operators.cu, attention_warpgroup.cu and products.cu (src/cuda/kernels), for the
/// context that is current when they are launched.
class OperatorKernels {
 public:
  /// Throws Error(kUnavailable) where the driver cannot load them.
  explicit OperatorKernels(const CudaDriver& driver);
  ~OperatorKernels();
  OperatorKernels(const OperatorKernels&) = delete;
  OperatorKernels& operator=(const OperatorKernels&) = delete;

  /// The fastest form that the GPU of the current context has for these sizes.
  [[nodiscard]] AttentionForm best_form(const RotaryAttention& attention) const {
    return best_form(attention.head_dim);
  }
  [[nodiscard]] AttentionForm best_form(const PlainAttention& attention) const {
    return best_form(attention.head_dim);
  }
  [[nodiscard]] AttentionForm best_form(const MemoryAttention& attention) const;

  /// Puts the work into a stream (CUstream) and returns; it neither waits nor allocates. Throws
  /// Error(kInternal) for sizes that make no sense, and for a form that there is none of.
  void launch(const RotaryAttention& attention, void* stream, AttentionForm form) const;
  void launch(const RotaryAttention& attention, void* stream) const {
    launch(attention, stream, best_form(attention));
  }
  void launch(const PlainAttention& attention, void* stream, AttentionForm form) const;
  void launch(const PlainAttention& attention, void* stream) const {
    launch(attention, stream, best_form(attention));
  }
  void launch(const BoxBias& bias, void* stream) const;
  void launch(const QueryPosition& position, void* stream) const;
  void launch(const GridAttention& attention, void* stream) const;
  void launch(const MemoryAttention& attention, void* stream, AttentionForm form) const;
  void launch(const MemoryAttention& attention, void* stream) const {
    launch(attention, stream, best_form(attention));
  }
  void launch(const NormalisedRows& rows, void* stream) const;
  void launch(const ResidualNorm& norm, void* stream) const;
  void launch(const QuantisedValues& values, void* stream) const;
  void launch(const GatheredNorm& norm, void* stream) const;
  void launch(const UpsampledSum& sum, void* stream) const;
  void launch(const GroupNorm& norm, void* stream) const;
  void launch(const Patches& patches, void* stream) const;
  void launch(const WindowMap& map, void* stream) const;

 private:
  struct Functions {
    void* attention = nullptr;
    void* warpgroup_attention = nullptr;  ///< Null where there is none.
    void* rotate_keys = nullptr;
    void* grid_attention = nullptr;
  };

  /// Of attention to memories, by type and size of values.
  struct MemoryFunctions {
    void* prepare = nullptr;
    void* attend = nullptr;
    void* warpgroup_attend = nullptr;  ///< Null where there is none.
    void* join = nullptr;
  };

  /// What stands before products: for rows of up to 1024 and 2048 columns, to the type and to E4M3.
  struct ProductFunctions {
    std::array<std::array<void*, 2>, 2> normalise{};
    std::array<void*, 3> residual_norm{};  ///< For rows of up to kNormColumns.
    std::array<void*, 3> gathered_norm{};  ///< The same.
    void* quantise = nullptr;
  };

  /// What stands between the mask head's convolutions and before the vision encoder's blocks.
  struct PixelFunctions {
    void* patches = nullptr;
    void* upsampled_sum = nullptr;
    void* group_sums = nullptr;
    void* group_norm = nullptr;
  };

  [[nodiscard]] const Functions& functions(DType type, int64_t head_dim) const;
  [[nodiscard]] const MemoryFunctions& functions(const MemoryAttention& attention) const;
  [[nodiscard]] AttentionForm best_form(int64_t head_dim) const;
  void check_form(DType type, int64_t head_dim, AttentionForm form) const;
  void attend(AttentionArgs args, const std::array<int64_t, 3>& sizes, DType type, int64_t head_dim,
              AttentionForm form, void* stream) const;
  [[nodiscard]] const CudaDeviceInfo& current_gpu() const;
  [[nodiscard]] void* kernel(void* library, const std::string& name) const;
  void load();
  void load_memory_attention();
  void load_products();
  void load_pixels();
  void allow_shared(void* kernel, int64_t bytes, AttentionForm form) const;
  void rotate_keys(const RotaryAttention& attention, void* stream) const;
  void start(void* kernel, const std::array<int64_t, 3>& grid, unsigned threads, void* stream,
             void* arguments, unsigned shared_bytes = 0) const;
  void unload() noexcept;

  /// Of functions_ and memory_functions_: kF16 or kBF16. Throws Error(kInternal) for others.
  [[nodiscard]] static size_t index_of(DType type);

  static constexpr std::array<const char*, 2> kTypeNames = {"f16", "bf16"};
  static constexpr size_t kTypes = kTypeNames.size();
  static constexpr size_t kSizes = kAttentionHeadDims.size();

  const CudaDriver& driver_;
  void* library_ = nullptr;
  void* warpgroup_library_ = nullptr;  ///< Null where no GPU runs it.
  void* product_library_ = nullptr;
  std::vector<CudaDeviceInfo> gpus_;  ///< By ordinal.
  void* box_bias_ = nullptr;
  void* query_position_ = nullptr;
  Functions functions_[kTypes][kSizes];
  void* memory_count_ = nullptr;
  MemoryFunctions memory_functions_[kTypes][kMemoryValueDims.size()];
  ProductFunctions product_functions_[kTypes];
  PixelFunctions pixel_functions_[kTypes];
  void* window_map_ = nullptr;
};

/// Of the machine code of all of them. What was verified with some says nothing about others.
[[nodiscard]] const std::string& operator_kernels_sha256();

/// Those of this machine's driver, loaded by the first call, which may throw.
[[nodiscard]] const OperatorKernels& operator_kernels();

}  // namespace sam3trt
