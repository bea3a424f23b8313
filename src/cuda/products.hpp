#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/driver.hpp"
#include "cuda/operators.hpp"

namespace sam3trt {

/// Device memory that a product of cuBLASLt may use besides its operands, as NVIDIA advises for
/// compute capability 9.0.
inline constexpr uint64_t kProductWorkspaceBytes = uint64_t{32} << 20U;

/// A product of cuBLASLt: gelu(input [M, K] times weights + bias [N]) + residual [M, N], with
/// float32 sums. GELU is its form with tanh, which differs from that with erf by up to 4.8e-4: the
/// library has no other.
struct ProductSizes {
  DType type = DType::kF16;  ///< kF16 or kBF16: bias, residual, result; factors that are not FP8.
  bool fp8 = false;          ///< Factors are E4M3 with one float32 scale each.
  bool fp8_result = false;   ///< So is the result.
  bool weight_rows = false;  ///< Weights are [N, K], as FP8 ones must be, not [K, N].
  bool gelu = false;
  bool residual = false;
  bool fast_sums = false;  ///< FP8: sums keep fewer bits between steps.
  int64_t rows = 0;        ///< M
  int64_t inputs = 0;      ///< K
  int64_t outputs = 0;     ///< N

  bool operator==(const ProductSizes&) const = default;
};

/// "a product of 5184 x 1024 by 1024 x 3072 in FP8"
[[nodiscard]] std::string text_of(const ProductSizes& sizes);

/// Why there is no product of these sizes; empty: there may be one.
[[nodiscard]] std::string product_problem(const ProductSizes& sizes);

/// All of them multiples of kProductAlignment.
struct ProductAddresses {
  DevicePointer input = 0;
  DevicePointer weight = 0;
  DevicePointer bias = 0;
  DevicePointer residual = 0;      ///< 0 where there is none.
  DevicePointer result = 0;        ///< May be the residual.
  DevicePointer input_scale = 0;   ///< float32: what an FP8 input stands for is it times this.
  DevicePointer weight_scale = 0;  ///< The same.
  DevicePointer result_scale = 0;  ///< float32: what the result is multiplied by before rounding.
  DevicePointer workspace = 0;     ///< kProductWorkspaceBytes
};
inline constexpr uint64_t kProductAlignment = 16;

/// Scales of operators, which are float32, are so many bytes apart.
inline constexpr uint64_t kScaleBytes = kProductAlignment;

/// How factors are scaled: what a product's `input_scale` and `weight_scale` are. Others than one
/// scale per tensor are there to ask what the library can do.
enum class ProductScaling { kTensor, kOuterVectors, kAlphaVector };

/// A product of sizes that stay, on the GPU of the context that is current when it is made. One
/// launch at a time.
class Product {
 public:
  /// Asks the library for its algorithms, at most `candidates`, the fastest by its estimate first,
  /// which is then used: for one version of the library, one GPU and these sizes always the same.
  /// Throws Error(kBadInput) for sizes that cannot be, Error(kUnavailable) where the library has no
  /// algorithm.
  explicit Product(const CublasLt& library, const ProductSizes& sizes, int candidates = 1,
                   uint64_t alignment = kProductAlignment,
                   ProductScaling scaling = ProductScaling::kTensor);

  /// With an algorithm of choose_algorithm, for these sizes or for another number of rows. Throws
  /// Error(kUnavailable) where the library, being another than that which chose, or the GPU does
  /// not have it.
  Product(const CublasLt& library, const ProductSizes& sizes, const cublaslt::Algorithm& fixed);

  [[nodiscard]] const ProductSizes& sizes() const { return sizes_; }
  [[nodiscard]] size_t candidates() const { return algorithms_.size(); }
  [[nodiscard]] const cublaslt::Algorithm& candidate(size_t index) const {
    return algorithms_.at(index).algorithm;
  }

  /// One more to choose from; false: the library or the GPU does not have it for these sizes.
  [[nodiscard]] bool offer(const cublaslt::Algorithm& algorithm);

  /// Which of them is used.
  void choose(size_t candidate) { chosen_ = candidate; }
  [[nodiscard]] const cublaslt::Heuristic& algorithm() const { return algorithms_.at(chosen_); }

  /// "algorithm 66, tile 20, stages 36, cluster 5, split 1, workspace 0".
  [[nodiscard]] std::string describe() const;

  /// Puts the work into a stream (CUstream) and returns; it neither waits nor allocates.
  void launch(const ProductAddresses& at, void* stream) const;

 private:
  using Destroy = CublasLtCall<void*> CublasLt::*;
  struct Object {
    const CublasLt* library;
    Destroy destroy;
    void operator()(void* object) const noexcept {
      static_cast<void>((library->*destroy).status(object));
    }
  };
  using Owned = std::unique_ptr<void, Object>;

  [[nodiscard]] Owned layout(int type, int64_t rows, int64_t columns) const;
  template <typename T>
  void set(cublaslt::Descriptor attribute, T value) const;
  void describe_product();
  void find_algorithms(int candidates, uint64_t alignment);
  /// The library's status; `found` is what it says about the algorithm.
  int check(const cublaslt::Algorithm& algorithm, cublaslt::Heuristic& found) const;

  const CublasLt& library_;
  void* handle_;
  ProductSizes sizes_;
  ProductScaling scaling_;
  Owned descriptor_;
  Owned a_;  ///< Weights: the library's matrices are by columns, so it computes the transposed.
  Owned b_;
  Owned c_;
  Owned d_;
  std::vector<cublaslt::Heuristic> algorithms_;
  size_t chosen_ = 0;
};

/// The operator kProduct (base/own_operators.hpp) in device memory.
struct ProductCall {
  DType type = DType::kF16;
  bool fp8 = false;
  bool normalised = false;     ///< LayerNormalization of the input comes first.
  bool added = false;          ///< The residual is added.
  float epsilon = 0;           ///< Of it.
  int64_t rows = 0;            ///< M
  int64_t inputs = 0;          ///< K
  int64_t outputs = 0;         ///< N
  DevicePointer input = 0;     ///< [M, K] of the type
  DevicePointer weight = 0;    ///< [K, N] of the type; E4M3: [N, K]
  DevicePointer bias = 0;      ///< [N] of the type
  DevicePointer residual = 0;  ///< [M, N] of the type, where it is added
  DevicePointer gain = 0;      ///< float32 [K]
  DevicePointer shift = 0;     ///< float32 [K]
  DevicePointer scales = 0;    ///< [3, 4]: 1 / input scale, input scale, weight scale
  DevicePointer result = 0;    ///< [M, N] of the type
  DevicePointer scratch = 0;   ///< scratch_bytes()

  [[nodiscard]] ProductSizes product() const;
  [[nodiscard]] uint64_t scratch_bytes() const;
  [[nodiscard]] bool fits() const;
};

/// The operator kMlp in device memory: LayerNormalization, product with GELU, product, residual.
struct MlpCall {
  DType type = DType::kF16;
  bool fp8 = false;
  float epsilon = 0;
  int64_t rows = 0;                 ///< M
  int64_t width = 0;                ///< K
  int64_t hidden = 0;               ///< N
  DevicePointer input = 0;          ///< [M, K] of the type; the residual, too
  DevicePointer gain = 0;           ///< float32 [K]
  DevicePointer shift = 0;          ///< float32 [K]
  DevicePointer hidden_weight = 0;  ///< [K, N] of the type; E4M3: [N, K]
  DevicePointer hidden_bias = 0;    ///< [N] of the type
  DevicePointer weight = 0;         ///< [N, K] of the type; E4M3: [K, N]
  DevicePointer bias = 0;           ///< [K] of the type
  DevicePointer scales = 0;         ///< [6, 4]: of either product as ProductCall has them
  DevicePointer result = 0;         ///< [M, K] of the type
  DevicePointer scratch = 0;        ///< scratch_bytes()

  [[nodiscard]] ProductSizes hidden_product() const;
  [[nodiscard]] ProductSizes product() const;
  [[nodiscard]] uint64_t scratch_bytes() const;
  [[nodiscard]] bool fits() const;
};

/// Puts the work into a stream (CUstream) and returns. The products must be those of the call.
void launch(const OperatorKernels& kernels, const ProductCall& call, const Product& product,
            void* stream);
void launch(const OperatorKernels& kernels, const MlpCall& call, const Product& hidden_product,
            const Product& product, void* stream);

}  // namespace sam3trt
