#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "cuda/driver.hpp"

namespace sam3trt {

class CublasLt;

/// One function of cuBLASLt that returns a cublasStatus_t. Calling it throws Error naming the
/// function and the status when it fails; `status` returns it instead.
template <typename... Args>
class CublasLtCall {
 public:
  explicit CublasLtCall(const char* name) : name_(name) {}

  void operator()(Args... args) const;
  [[nodiscard]] int status(Args... args) const noexcept { return function_(args...); }
  [[nodiscard]] const char* name() const { return name_; }

  using Function = int (*)(Args...);

 private:
  friend class CublasLt;

  const char* name_;
  const CublasLt* library_ = nullptr;
  Function function_ = nullptr;
};

/// What cublasLt.h, cublas_api.h and library_types.h of CUDA 12 and 13 define; tests/headers holds
/// them against those files where they are installed.
namespace cublaslt {

inline constexpr int kFloat32 = 0;  // cudaDataType_t
inline constexpr int kFloat16 = 2;
inline constexpr int kBFloat16 = 14;
inline constexpr int kE4m3 = 28;

inline constexpr int kComputeFloat32 = 68;  // cublasComputeType_t
inline constexpr int kTranspose = 1;        // cublasOperation_t

enum class Descriptor {  // cublasLtMatmulDescAttributes_t
  kPointerMode = 2,
  kTransposeA = 3,
  kTransposeB = 4,
  kEpilogue = 7,
  kBiasPointer = 8,
  kAScalePointer = 17,
  kBScalePointer = 18,
  kDScalePointer = 20,
  kFastAccumulation = 25,
  kBiasType = 26,
  kAScaleMode = 31,
  kBScaleMode = 32,
};

inline constexpr int kAlphaVector = 4;  // cublasLtPointerMode_t: one per row of D, beta on host
inline constexpr int kOuterVectorScale = 3;  // cublasLtMatmulMatrixScale_t: one per row or column

inline constexpr int kEpilogueBias = 4;  // cublasLtEpilogue_t
inline constexpr int kEpilogueGeluBias = 36;

enum class Preference {  // cublasLtMatmulPreferenceAttributes_t
  kWorkspaceBytes = 1,
  kAlignmentA = 5,
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8,
};

enum class AlgorithmConfig {  // cublasLtMatmulAlgoConfigAttributes_t
  kId = 0,
  kTile = 1,
  kSplitK = 2,
  kReduction = 3,
  kSwizzling = 4,
  kCustomOption = 5,
  kStages = 6,
  kInnerShape = 7,
  kClusterShape = 8,
};

/// cublasLtMatmulAlgo_t, which may be stored and used again with the same version of the library.
struct Algorithm {
  std::array<uint64_t, 8> data{};

  bool operator==(const Algorithm&) const = default;
};

/// cublasLtMatmulHeuristicResult_t
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes = 0;
  int state = 0;  ///< 0: the algorithm can be used.
  float waves = 0;
  std::array<int, 4> reserved{};
};

}  // namespace cublaslt

/// NVIDIA's cuBLASLt of CUDA 12 or 13, loaded at run time so that the program starts where there is
/// none; it stays loaded until the process ends. Handles and descriptors are void*. Functions may
/// be called from any thread.
class CublasLt {
 public:
  /// Loads `library`. Throws Error(kUnavailable) when it, or one of its functions, is missing, or
  /// when it is older than kOldest.
  explicit CublasLt(const std::string& library, const CudaDriver& driver = cuda_driver());
  ~CublasLt() = default;
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  static constexpr size_t kOldest = 120100;  ///< 12.1, the first that was tried.

  /// As the library counts: 130002 is 13.0.2.
  [[nodiscard]] size_t version() const { return version_; }
  [[nodiscard]] std::string version_text() const;

  /// The file that was loaded.
  [[nodiscard]] const std::string& file() const { return file_; }

  /// The library's handle for the GPU of the current context; made when it is first asked for.
  [[nodiscard]] void* handle() const;

  /// "CUBLAS_STATUS_NOT_SUPPORTED".
  [[nodiscard]] std::string describe(int status) const;
  [[noreturn]] void fail(const char* name, int status) const;

  CublasLtCall<void**> create{"cublasLtCreate"};
  CublasLtCall<void**, int, int> descriptor_create{"cublasLtMatmulDescCreate"};
  CublasLtCall<void*> descriptor_destroy{"cublasLtMatmulDescDestroy"};
  CublasLtCall<void*, cublaslt::Descriptor, const void*, size_t> descriptor_set{
      "cublasLtMatmulDescSetAttribute"};
  CublasLtCall<void**, int, uint64_t, uint64_t, int64_t> layout_create{
      "cublasLtMatrixLayoutCreate"};
  CublasLtCall<void*> layout_destroy{"cublasLtMatrixLayoutDestroy"};
  CublasLtCall<void**> preference_create{"cublasLtMatmulPreferenceCreate"};
  CublasLtCall<void*> preference_destroy{"cublasLtMatmulPreferenceDestroy"};
  CublasLtCall<void*, cublaslt::Preference, const void*, size_t> preference_set{
      "cublasLtMatmulPreferenceSetAttribute"};
  /// Handle, descriptor, layouts of A, B, C and D, preference, room for so many results, results,
  /// how many there are.
  CublasLtCall<void*, void*, void*, void*, void*, void*, void*, int, cublaslt::Heuristic*, int*>
      heuristic{"cublasLtMatmulAlgoGetHeuristic"};
  /// Handle, descriptor, layouts of A, B, C and D, an algorithm, what it needs.
  CublasLtCall<void*, void*, void*, void*, void*, void*, const cublaslt::Algorithm*,
               cublaslt::Heuristic*>
      algorithm_check{"cublasLtMatmulAlgoCheck"};
  CublasLtCall<const cublaslt::Algorithm*, cublaslt::AlgorithmConfig, void*, size_t, size_t*>
      algorithm_get{"cublasLtMatmulAlgoConfigGetAttribute"};
  CublasLtCall<cublaslt::Algorithm*, cublaslt::AlgorithmConfig, const void*, size_t> algorithm_set{
      "cublasLtMatmulAlgoConfigSetAttribute"};
  /// Handle, descriptor, alpha, A and its layout, B, beta, C, D, algorithm, workspace and its
  /// bytes, stream.
  CublasLtCall<void*, void*, const void*, const void*, void*, const void*, void*, const void*,
               const void*, void*, void*, void*, const cublaslt::Algorithm*, void*, size_t, void*>
      matmul{"cublasLtMatmul"};

 private:
  const CudaDriver& driver_;
  std::string file_;
  size_t version_ = 0;
  const char* (*status_name_)(int) = nullptr;
  mutable std::mutex mutex_;
  mutable std::map<int, void*> handles_;  ///< By ordinal; never given back, as the library is not.
};

/// Where cuBLASLt would be loaded from, and what speaks against it.
struct CublasLtInfo {
  std::string file;     ///< Empty: there is none.
  std::string version;  ///< "13.0.2"; empty where it cannot be asked.
  std::string problem;  ///< Why it cannot be used, with what to do; empty: it can.
};

/// Looks for libcublasLt.so.13, then .12: where the environment variable SAM3TRT_CUBLASLT_DIR names
/// a folder, there and nowhere else; else in the system's folders, then in those that
/// SAM3TRT_CUBLASLT_PACKAGES lists (with ":" between). Needs no GPU.
[[nodiscard]] CublasLtInfo find_cublaslt();

/// That library for this machine's driver, loaded by the first call. Throws Error(kUnavailable)
/// that says what to install, and tries again the next time.
[[nodiscard]] const CublasLt& cublaslt_library();

template <typename... Args>
void CublasLtCall<Args...>::operator()(Args... args) const {
  const int status = function_(args...);
  if (status != 0) library_->fail(name_, status);
}

}  // namespace sam3trt
