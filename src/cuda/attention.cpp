#include "cuda/attention.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.hpp"
#include "cuda/fatbin.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/attention.hpp"

namespace sam3trt {
namespace {

constexpr std::array<int64_t, 3> kHeadDims = {16, 32, 64};
constexpr unsigned kRotateThreads = 256;
constexpr int64_t kMaxGrid = 65535;  // of y and z

template <typename Element>
AttentionRows<Element> rows(DevicePointer data, int64_t batch, int64_t row, int64_t head) {
  return {device_pointer<Element>(data), batch, row, head};
}

void check(const RotaryAttention& a) {
  const bool sizes = a.batches > 0 && a.tokens > 0 && a.window > 0 && a.heads > 0 &&
                     a.tokens % a.window == 0 && a.heads <= kMaxGrid &&
                     a.batches * (a.tokens / a.window) <= kMaxGrid && a.window <= (1 << 30);
  if (sizes) return;
  throw Error(ErrorCode::kInternal, "rotary attention of " + std::to_string(a.batches) + " x " +
                                        std::to_string(a.tokens) + " tokens in windows of " +
                                        std::to_string(a.window) + ", " + std::to_string(a.heads) +
                                        " heads");
}

}  // namespace

AttentionKernels::AttentionKernels(const CudaDriver& driver) : driver_(driver) {
  driver_.library_load_data(&library_, attention_fatbin(), nullptr, nullptr, 0, nullptr, nullptr,
                            0);
  const std::array<std::string, kTypes> types = {"f16", "bf16"};
  for (size_t t = 0; t < kTypes; ++t) {
    for (size_t s = 0; s < kSizes; ++s) {
      const std::string name = types[t] + "_" + std::to_string(kHeadDims[s]);
      driver_.library_get_kernel(&functions_[t][s].attention, library_,
                                 ("sam3trt_attention_" + name).c_str());
      driver_.library_get_kernel(&functions_[t][s].rotate_keys, library_,
                                 ("sam3trt_rotate_keys_" + name).c_str());
    }
  }
}

AttentionKernels::~AttentionKernels() {
  static_cast<void>(driver_.library_unload.status(library_));
}

bool AttentionKernels::supports(int64_t head_dim) {
  return std::ranges::find(kHeadDims, head_dim) != kHeadDims.end();
}

const AttentionKernels::Functions& AttentionKernels::functions(DType type, int64_t head_dim) const {
  const auto size = std::ranges::find(kHeadDims, head_dim);
  if ((type == DType::kF16 || type == DType::kBF16) && size != kHeadDims.end()) {
    return functions_[type == DType::kF16 ? 0 : 1][size - kHeadDims.begin()];
  }
  throw Error(ErrorCode::kInternal, "no attention kernel for " + std::string(name_of(type)) +
                                        " and heads of " + std::to_string(head_dim));
}

void AttentionKernels::launch(const RotaryAttention& a, void* stream) const {
  check(a);
  const Functions& kernels = functions(a.type, a.head_dim);
  const int64_t width = a.heads * a.head_dim;
  const int64_t windows = a.batches * (a.tokens / a.window);
  const auto packed = [&](int64_t part) {
    return rows<const uint16_t>(a.qkv + static_cast<uint64_t>(part * width) * sizeof(uint16_t),
                                a.window * 3 * width, 3 * width, a.head_dim);
  };
  RotateArgs rotate;
  rotate.source = packed(1);
  rotate.target = {device_pointer<uint16_t>(a.scratch), a.window * width, a.head_dim,
                   a.window * a.head_dim};
  rotate.cos = device_pointer<const float>(a.cos);
  rotate.sin = device_pointer<const float>(a.sin);
  rotate.batches = static_cast<int32_t>(windows);
  rotate.keys = static_cast<int32_t>(a.window);
  rotate.heads = static_cast<int32_t>(a.heads);
  AttentionArgs attend;
  attend.query = packed(0);
  attend.key = {device_pointer<const uint16_t>(a.scratch), a.window * width, a.head_dim,
                a.window * a.head_dim};
  attend.value = packed(2);
  attend.result = rows<uint16_t>(a.result, a.window * width, width, a.head_dim);
  attend.cos = rotate.cos;
  attend.sin = rotate.sin;
  attend.queries = attend.keys = static_cast<int32_t>(a.window);

  const int64_t threads = windows * a.window * a.heads * (a.head_dim / 16);
  void* rotate_arguments[] = {&rotate};
  driver_.launch_kernel(kernels.rotate_keys,
                        static_cast<unsigned>((threads + kRotateThreads - 1) / kRotateThreads), 1,
                        1, kRotateThreads, 1, 1, 0, stream, rotate_arguments, nullptr);
  using Tile = AttentionTile<64>;  // queries and threads of a block are the same for all sizes
  void* attention_arguments[] = {&attend};
  driver_.launch_kernel(kernels.attention,
                        static_cast<unsigned>((a.window + Tile::kQueries - 1) / Tile::kQueries),
                        static_cast<unsigned>(a.heads), static_cast<unsigned>(windows),
                        Tile::kThreads, 1, 1, 0, stream, attention_arguments, nullptr);
}

const AttentionKernels& attention_kernels() {
  static const AttentionKernels kKernels(cuda_driver());
  return kKernels;
}

}  // namespace sam3trt
