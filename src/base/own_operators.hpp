#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace sam3trt {

/// Domain of the operators that no other ONNX program knows.
inline constexpr const char* kOwnDomain = "sam3trt";

/// An attention as one node and one TensorRT plugin of this name. Inputs: queries [P, Q, H * D],
/// which carry the factor 1/sqrt(D); keys and values [P, K, H * D]. Output: [P, Q, H * D].
/// Attributes `heads` H and `head_dim` D.
inline constexpr const char* kPlainAttention = "Sam3trtAttention";

/// A self-attention after the rotary embedding of queries and keys, as one node and one TensorRT
/// plugin of this name. Inputs: packed projections [B, T, 3 * H * D] whose queries carry the factor
/// 1/sqrt(D); cos and sin, float32 of window * D / 2 values. Output: [B, T, H * D]. Attributes
/// `heads` H, `head_dim` D and `window`: attention stays within windows of so many tokens, which
/// divide T. Channel i of a head rotates with channel i + D / 2.
inline constexpr const char* kRotaryAttention = "Sam3trtRotaryAttention";

/// Attention of queries to the cells of a grid, with a bias by where a cell's row and column lie
/// relative to the edges of the query's box, as one node and one TensorRT plugin of this name.
/// Inputs: queries [P, Q, H * D], which carry the factor 1/sqrt(D); keys and values
/// [P, Y * X, H * D], row by row; float32 boxes [P, B, 4] of the last B queries, cx cy w h in 0..1;
/// for rows, then for columns, the float32 weights [2, M], [M], [M, H] and [H] of an MLP with ReLU.
/// Output: [P, Q, H * D]. Attributes `heads` H, `head_dim` D, `rows` Y, `columns` X. The bias of a
/// cell is what the MLPs give of its row y / Y and of its column x / X, added; for a line at l and
/// edges at e and f their inputs are s(l - e) and s(l - f), s(d) = sign(8 d) log8(|8 d| + 1).
/// Queries without a box have no bias.
inline constexpr const char* kGridAttention = "Sam3trtGridAttention";

/// Most hidden values (M) of its MLPs.
inline constexpr int64_t kMaxBoxBiasHidden = 256;

/// Attention to what is remembered of an object, one head of kMemoryHeadDim channels (D), as one
/// node and one TensorRT plugin of this name. Inputs: queries [O, Q, D], which carry the factor
/// 1/sqrt(D); frames' keys [O, F, Q, D]; further keys [O, P, D]; values [O, F * Q + P, X] of both;
/// cos and sin, float32 of Q * D / 2 values; the bias of keys, float32 [O, 1, 1, F * Q + P].
/// Output: [O, Q, X]. X is one of kMemoryValueDims. Queries and the keys of each frame are rotated,
/// channel i with channel i + D / 2; further keys are not. The bias is 0 for keys that are there
/// and kAbsentBias for the others, which are not read. Keys of a frame are all there or all absent;
/// absent ones come last among frames and among further keys; the first frame is there.
inline constexpr const char* kMemoryAttention = "Sam3trtMemoryAttention";

/// The same of an image to itself: queries, keys and values are [O, Q, D], all keys are rotated.
inline constexpr const char* kRotatedAttention = "Sam3trtRotatedAttention";

/// What a score gets added for a key that is not there: in float16, too, its probability is 0 after
/// softmax.
inline constexpr float kAbsentBias = -30000.0F;

inline constexpr int kMemoryHeadDim = 256;
inline constexpr std::array<int64_t, 2> kMemoryValueDims = {64, kMemoryHeadDim};

/// What tells the decoder's queries where their boxes lie: an MLP with ReLU of sines and cosines of
/// the boxes, as one node and one TensorRT plugin of this name. All float32. Inputs: boxes
/// [P, B, 4], cx cy w h; frequencies [F]; weights [8 * F, M], [M], [M, D] and [D]. Output:
/// [P, U + B, D], whose first U rows, attribute `unboxed`, are zero. Inputs of the MLP are, for
/// each of cy, cx, w and h, the sines of its products with the frequencies, then their cosines.
inline constexpr const char* kQueryPosition = "Sam3trtQueryPosition";

/// Most inputs (8 * F) and hidden values (M) of the MLP.
inline constexpr int64_t kMaxQueryPositionInputs = 512;
inline constexpr int64_t kMaxQueryPositionHidden = 256;

/// A product with weights by cuBLASLt, as one node and one TensorRT plugin of this name, after
/// LayerNormalization. Inputs: [B, T, K]; bias [N]; weights; float32 gain and shift of the
/// normalisation [K]; float32 scales [3, 4]. Output: [B, T, N]. Attributes `epsilon`, the bits of a
/// float32, and `fp8`. Weights are [K, N] of the output's type; with `fp8` they are E4M3 [N, K],
/// four to an int32, so [N, K / 4]. Scales, which only FP8 uses, are the first of four values, for
/// the library wants them at multiples of 16 bytes: 1 / that of the normalised input, that of the
/// normalised input, that of the weights.
inline constexpr const char* kNormalisedProduct = "Sam3trtNormalisedProduct";

/// The same without a normalisation, and with a residual. Inputs: [B, T, K]; residual [B, T, N];
/// bias [N]; weights; scales. Attribute `fp8`.
inline constexpr const char* kResidualProduct = "Sam3trtResidualProduct";

/// LayerNormalization, a product with GELU, a product, and the input as residual. Inputs:
/// [B, T, K]; biases [N] and [K]; weights of both products; float32 gain and shift [K]; float32
/// scales [6, 4], three of each product. Output: [B, T, K]. Attributes as kNormalisedProduct. GELU
/// is its form with tanh.
inline constexpr const char* kMlp = "Sam3trtMlp";

/// A residual sum and its LayerNormalization, as one node and one TensorRT plugin of this name.
/// Inputs: what is added [B, T, N]; float32 residual [B, T, N]; float32 gain and shift [N].
/// Outputs: the normalised sum, of the type of what is added; the sum, float32. Attribute
/// `epsilon`, the bits of a float32.
inline constexpr const char* kResidualNorm = "Sam3trtResidualNorm";

/// Rows that an index names and their LayerNormalization, as one node and one TensorRT plugin of
/// this name. Inputs: [P, T, N]; int64 index [R]; float32 gain and shift [N]. Outputs, both
/// [R, T, N] of the input's type: the normalised rows; the rows. Attribute `epsilon`, the bits of a
/// float32. An index outside 0 .. P - 1 counts as 0.
inline constexpr const char* kGatheredNorm = "Sam3trtGatheredNorm";

/// A map of twice the height and width, each value four times, and a level of an image added to it,
/// as one node and one TensorRT plugin of this name. Inputs: [R, H / 2 * W / 2, D], row by row;
/// levels [B, D, H, W]; int64 index of a level [R]. Output: [R, D, H, W]. An index outside
/// 0 .. B - 1 counts as 0. D is a multiple of kLowColumns, H * W of 8.
inline constexpr const char* kUpsampledSum = "Sam3trtUpsampledSum";

/// GroupNorm and ReLU, as one node and one TensorRT plugin of this name. Inputs: [R, D, H, W];
/// float32 gain and shift of D values. Output: [R, H * W, D], row by row. Attributes `groups` G, at
/// most kMostNormGroups, and `epsilon`, the bits of a float32. D is a multiple of kLowColumns, D /
/// G of kGroupColumns.
inline constexpr const char* kGroupNorm = "Sam3trtGroupNorm";
inline constexpr int kMostNormGroups = 32;
inline constexpr int kGroupColumns = 4;

/// The patches of an image as rows, as one node and one TensorRT plugin of this name. Input:
/// float32 [B, C, S, S]. Output: [B, T, K], a row for each patch: its values channel by channel,
/// row by row, then zeros up to K, the next multiple of kPatchColumns. Attributes `patch` P, at
/// most kMostPatch, and `window` W: patches of a window of W x W follow one another, row by row, as
/// windows do. W divides S / P; C is at most 3.
inline constexpr const char* kPatches = "Sam3trtPatches";
inline constexpr int64_t kPatchColumns = 16;
inline constexpr int64_t kMostPatch = 16;
inline constexpr int64_t kMostPatchChannels = 3;

[[nodiscard]] constexpr int64_t patch_columns(int64_t values) {
  return (values + kPatchColumns - 1) / kPatchColumns * kPatchColumns;
}

/// Tokens in the order of kPatches as a map and row by row, as one node and one TensorRT plugin of
/// this name. Input: [B, G * G, N]. Outputs: [B, N, G, G]; [B, G * G, N]. Attributes `grid` G and
/// `window`, which divides it. N is a multiple of kLowColumns.
inline constexpr const char* kWindowMap = "Sam3trtWindowMap";

/// Values of a row of scales.
inline constexpr int64_t kScaleValues = 4;

/// Operators of cuBLASLt have, for each of their products, kAlgorithmWords of kAlgorithmAttributes,
/// too: the bits of the library's algorithm, as int32 in turn, the lower half of each 64 first; all
/// 0: its own choice. TensorRT's parser cuts integers off after 32 bits.
inline constexpr size_t kAlgorithmWords = 16;
inline constexpr std::array<const char*, 2 * kAlgorithmWords> kAlgorithmAttributes = {
    "algorithm0",  "algorithm1",  "algorithm2",  "algorithm3",  "algorithm4",  "algorithm5",
    "algorithm6",  "algorithm7",  "algorithm8",  "algorithm9",  "algorithm10", "algorithm11",
    "algorithm12", "algorithm13", "algorithm14", "algorithm15", "algorithm16", "algorithm17",
    "algorithm18", "algorithm19", "algorithm20", "algorithm21", "algorithm22", "algorithm23",
    "algorithm24", "algorithm25", "algorithm26", "algorithm27", "algorithm28", "algorithm29",
    "algorithm30", "algorithm31"};

/// Most columns of rows that are normalised, a multiple of kLowColumns.
inline constexpr int64_t kMostNormalisedColumns = 2048;

/// Columns of products are multiples of this, of FP8 factors and of others.
inline constexpr int64_t kFp8Columns = 16;
inline constexpr int64_t kLowColumns = 8;

/// Sizes of heads (D) that the attentions are there for.
inline constexpr std::array<int64_t, 3> kAttentionHeadDims = {16, 32, 64};

[[nodiscard]] constexpr bool is_own_attention(std::string_view op_type) {
  return op_type == kPlainAttention || op_type == kRotaryAttention || op_type == kGridAttention ||
         op_type == kMemoryAttention || op_type == kRotatedAttention;
}

/// Those that need cuBLASLt.
[[nodiscard]] constexpr bool is_own_product(std::string_view op_type) {
  return op_type == kNormalisedProduct || op_type == kResidualProduct || op_type == kMlp;
}

[[nodiscard]] constexpr bool is_own_operator(std::string_view op_type) {
  return is_own_attention(op_type) || op_type == kQueryPosition || op_type == kResidualNorm ||
         op_type == kGatheredNorm || op_type == kUpsampledSum || op_type == kGroupNorm ||
         op_type == kPatches || op_type == kWindowMap || is_own_product(op_type);
}

[[nodiscard]] constexpr bool has_attention_kernel(int64_t head_dim) {
  return std::ranges::find(kAttentionHeadDims, head_dim) != kAttentionHeadDims.end();
}

[[nodiscard]] constexpr bool has_memory_kernel(int64_t heads, int64_t head_dim, int64_t value_dim) {
  return heads == 1 && head_dim == kMemoryHeadDim &&
         std::ranges::find(kMemoryValueDims, value_dim) != kMemoryValueDims.end();
}

}  // namespace sam3trt
