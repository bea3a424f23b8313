// Compiled where NVIDIA's headers are: holds what src/cuda/cublaslt.hpp declares against them.
#include <cublasLt.h>

#include <type_traits>

#include "cuda/cublaslt.hpp"

namespace sam3trt::cublaslt {
namespace {

template <typename T>
constexpr int number(T value) {
  return static_cast<int>(value);
}

static_assert(kFloat32 == CUDA_R_32F && kFloat16 == CUDA_R_16F && kBFloat16 == CUDA_R_16BF &&
              kE4m3 == CUDA_R_8F_E4M3);
static_assert(kComputeFloat32 == CUBLAS_COMPUTE_32F && kTranspose == CUBLAS_OP_T);
static_assert(number(Descriptor::kPointerMode) == CUBLASLT_MATMUL_DESC_POINTER_MODE);
static_assert(number(Descriptor::kTransposeA) == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(number(Descriptor::kTransposeB) == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(number(Descriptor::kEpilogue) == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(number(Descriptor::kBiasPointer) == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(number(Descriptor::kAScalePointer) == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
static_assert(number(Descriptor::kBScalePointer) == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
static_assert(number(Descriptor::kDScalePointer) == CUBLASLT_MATMUL_DESC_D_SCALE_POINTER);
static_assert(number(Descriptor::kFastAccumulation) == CUBLASLT_MATMUL_DESC_FAST_ACCUM);
static_assert(number(Descriptor::kBiasType) == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
static_assert(kAlphaVector == CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST);
#if CUBLAS_VERSION >= 120900  // which only a check of what the library can do uses
static_assert(number(Descriptor::kAScaleMode) == CUBLASLT_MATMUL_DESC_A_SCALE_MODE);
static_assert(number(Descriptor::kBScaleMode) == CUBLASLT_MATMUL_DESC_B_SCALE_MODE);
static_assert(kOuterVectorScale == CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F);
#endif
static_assert(kEpilogueBias == CUBLASLT_EPILOGUE_BIAS);
static_assert(kEpilogueGeluBias == CUBLASLT_EPILOGUE_GELU_BIAS);
static_assert(number(Preference::kWorkspaceBytes) == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(number(Preference::kAlignmentA) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(number(Preference::kAlignmentB) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(number(Preference::kAlignmentC) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(number(Preference::kAlignmentD) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(number(AlgorithmConfig::kId) == CUBLASLT_ALGO_CONFIG_ID);
static_assert(number(AlgorithmConfig::kTile) == CUBLASLT_ALGO_CONFIG_TILE_ID);
static_assert(number(AlgorithmConfig::kSplitK) == CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
static_assert(number(AlgorithmConfig::kReduction) == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
static_assert(number(AlgorithmConfig::kSwizzling) == CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING);
static_assert(number(AlgorithmConfig::kCustomOption) == CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION);
static_assert(number(AlgorithmConfig::kStages) == CUBLASLT_ALGO_CONFIG_STAGES_ID);
static_assert(number(AlgorithmConfig::kInnerShape) == CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID);
static_assert(number(AlgorithmConfig::kClusterShape) == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID);

static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t) &&
              offsetof(Heuristic, workspace_bytes) ==
                  offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) &&
              offsetof(Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state) &&
              offsetof(Heuristic, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

/// Whether values are passed as NVIDIA's are: pointers as pointers, enumerations as integers.
template <typename Ours, typename Theirs>
constexpr bool kSame = (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) ||
                       (!std::is_pointer_v<Ours> && !std::is_pointer_v<Theirs> &&
                        sizeof(Ours) == sizeof(Theirs));

template <typename... Ours, typename... Theirs>
constexpr bool is_same(CublasLtCall<Ours...> CublasLt::* /*call*/,
                       cublasStatus_t (* /*function*/)(Theirs...)) {
  if constexpr (sizeof...(Ours) == sizeof...(Theirs)) return (kSame<Ours, Theirs> && ...);
  return false;
}

static_assert(is_same(&CublasLt::create, &cublasLtCreate));
static_assert(is_same(&CublasLt::descriptor_create, &cublasLtMatmulDescCreate));
static_assert(is_same(&CublasLt::descriptor_destroy, &cublasLtMatmulDescDestroy));
static_assert(is_same(&CublasLt::descriptor_set, &cublasLtMatmulDescSetAttribute));
static_assert(is_same(&CublasLt::layout_create, &cublasLtMatrixLayoutCreate));
static_assert(is_same(&CublasLt::layout_destroy, &cublasLtMatrixLayoutDestroy));
static_assert(is_same(&CublasLt::preference_create, &cublasLtMatmulPreferenceCreate));
static_assert(is_same(&CublasLt::preference_destroy, &cublasLtMatmulPreferenceDestroy));
static_assert(is_same(&CublasLt::preference_set, &cublasLtMatmulPreferenceSetAttribute));
static_assert(is_same(&CublasLt::heuristic, &cublasLtMatmulAlgoGetHeuristic));
static_assert(is_same(&CublasLt::algorithm_check, &cublasLtMatmulAlgoCheck));
static_assert(is_same(&CublasLt::algorithm_get, &cublasLtMatmulAlgoConfigGetAttribute));
static_assert(is_same(&CublasLt::algorithm_set, &cublasLtMatmulAlgoConfigSetAttribute));
static_assert(is_same(&CublasLt::matmul, &cublasLtMatmul));
static_assert(std::is_same_v<decltype(&cublasLtGetVersion), size_t (*)()>);

}  // namespace
}  // namespace sam3trt::cublaslt
