// Attention to memories: what OperatorKernels needs to know of memory_attention.hpp in kernels.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/error.hpp"
#include "cuda/kernels.hpp"
#include "cuda/kernels/memory_attention_mma.hpp"
#include "cuda/kernels/memory_attention_warpgroup.hpp"
#include "cuda/operators.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kPrepareThreads = 256;
constexpr int64_t kMaxBlocks = 192;  // more than multiprocessors of the GPUs that there are

/// What a block of a form is made of.
struct BlockShape {
  int64_t query_rows = 0;
  unsigned threads = 0;
  unsigned shared_bytes = 0;
};

struct NoWarp;

template <typename Attention>
constexpr BlockShape block_shape() {
  return {Attention::kQueries, Attention::kThreads,
          static_cast<unsigned>(Attention::kSharedElements * sizeof(uint16_t))};
}

BlockShape block_shape(int64_t value_dim, AttentionForm form) {
  const bool narrow = value_dim == 64;
  if (form == AttentionForm::kMma) {
    return narrow ? block_shape<MmaMemoryAttention<64, NoWarp>>()
                  : block_shape<MmaMemoryAttention<256, NoWarp>>();
  }
  return narrow ? block_shape<WarpgroupMemoryAttention<64, NoWarp>>()
                : block_shape<WarpgroupMemoryAttention<256, NoWarp>>();
}

int64_t key_tiles_of(const MemoryAttention& a) {
  return tiles_of<int64_t>(a.rotated_keys + a.plain_keys, kMemoryKeys);
}

/// At the beginning of the scratch memory; tiles begin at a multiple of what copies want.
uint64_t count_bytes(const MemoryAttention& a) {
  constexpr uint64_t kAlignment = 128;
  return tiles_of<uint64_t>(static_cast<uint64_t>(a.batches) * sizeof(MemoryCount), kAlignment) *
         kAlignment;
}

uint64_t tile_bytes(const MemoryAttention& a) {
  return static_cast<uint64_t>(a.batches * key_tiles_of(a) * memory_tile_elements(a.value_dim)) *
         sizeof(uint16_t);
}

void check(const MemoryAttention& a) {
  if (a.fits()) return;
  throw Error(ErrorCode::kInternal, "attention of " + std::to_string(a.batches) + " x " +
                                        std::to_string(a.queries) + " queries to " +
                                        std::to_string(a.rotated_keys) + " rotated and " +
                                        std::to_string(a.plain_keys) + " other keys, values of " +
                                        std::to_string(a.value_dim));
}

}  // namespace

bool MemoryAttention::fits() const {
  constexpr int64_t kMost = int64_t{1} << 24;
  const auto in_range = [](int64_t size, int64_t least) { return size >= least && size <= kMost; };
  if (!in_range(batches, 1) || !in_range(queries, 1) || !in_range(rotated_keys, queries) ||
      rotated_keys % queries != 0 || !in_range(plain_keys, 0) ||
      !has_memory_kernel(1, kMemoryHeadDim, value_dim)) {
    return false;
  }
  constexpr int64_t kFewestRows = 64;      // of a query tile
  constexpr int64_t kMostPairs = 1 << 25;  // of query tiles and key tiles: grids have room for them
  return batches * tiles_of(queries, kFewestRows) <= kMostPairs / key_tiles_of(*this);
}

uint64_t MemoryAttention::scratch_bytes() const {
  int64_t most_rows = 0;
  for (const AttentionForm form : {AttentionForm::kMma, AttentionForm::kWarpgroup}) {
    most_rows = std::max(most_rows, block_shape(value_dim, form).query_rows);
  }
  return count_bytes(*this) + tile_bytes(*this) +
         static_cast<uint64_t>(2 * kMaxBlocks * memory_share_floats(most_rows, value_dim)) *
             sizeof(float);
}

void OperatorKernels::load_memory_attention() {
  memory_count_ = kernel(library_, "sam3trt_memory_count");
  for (size_t t = 0; t < kTypes; ++t) {
    for (size_t v = 0; v < kMemoryValueDims.size(); ++v) {
      const int64_t value_dim = kMemoryValueDims[v];
      const std::string name = std::string(kTypeNames[t]) + "_" + std::to_string(value_dim);
      MemoryFunctions& functions = memory_functions_[t][v];
      functions.prepare = kernel(library_, "sam3trt_memory_prepare_" + name);
      functions.attend = kernel(library_, "sam3trt_memory_attention_" + name);
      functions.join = kernel(library_, "sam3trt_memory_join_" + name);
      const auto allow = [&](void* kernel, AttentionForm form) {
        allow_shared(kernel, block_shape(value_dim, form).shared_bytes, form);
      };
      allow(functions.attend, AttentionForm::kMma);
      if (warpgroup_library_ == nullptr) continue;
      functions.warpgroup_attend =
          kernel(warpgroup_library_, "sam3trt_warpgroup_memory_attention_" + name);
      allow(functions.warpgroup_attend, AttentionForm::kWarpgroup);
    }
  }
}

AttentionForm OperatorKernels::best_form(const MemoryAttention& /*attention*/) const {
  const bool warpgroups = has_form(current_gpu(), AttentionForm::kWarpgroup);
  return warpgroups ? AttentionForm::kWarpgroup : AttentionForm::kMma;
}

const OperatorKernels::MemoryFunctions& OperatorKernels::functions(const MemoryAttention& a) const {
  const auto* size = std::ranges::find(kMemoryValueDims, a.value_dim);
  return memory_functions_[index_of(a.type)][size - kMemoryValueDims.begin()];
}

void OperatorKernels::launch(const MemoryAttention& a, void* stream, AttentionForm form) const {
  check(a);
  const MemoryFunctions& kernels = functions(a);
  const bool warpgroups = form == AttentionForm::kWarpgroup;
  if (warpgroups && kernels.warpgroup_attend == nullptr) {
    throw Error(ErrorCode::kInternal, "no attention to memories with wgmma on this machine");
  }
  const BlockShape shape = block_shape(a.value_dim, form);

  MemoryKeys keys;
  keys.rotated = static_cast<int32_t>(a.rotated_keys);
  keys.plain = static_cast<int32_t>(a.plain_keys);
  if (a.bias != 0) {
    MemoryCountArgs count;
    count.bias = device_pointer<const float>(a.bias);
    count.counts = device_pointer<MemoryCount>(a.scratch);
    count.batches = static_cast<int32_t>(a.batches);
    count.rotated_keys = keys.rotated;
    count.plain_keys = keys.plain;
    count.period = static_cast<int32_t>(a.queries);
    start(memory_count_, {tiles_of<int64_t>(a.batches, kBlockThreads), 1, 1}, kBlockThreads, stream,
          &count);
    keys.counts = count.counts;
  }

  const DevicePointer tiles = a.scratch + count_bytes(a);
  MemoryPrepareArgs prepare;
  prepare.rotated = device_pointer<const uint16_t>(a.rotated_key);
  prepare.plain = device_pointer<const uint16_t>(a.plain_key);
  prepare.values = device_pointer<const uint16_t>(a.value);
  prepare.tiles = device_pointer<uint16_t>(tiles);
  prepare.cos = device_pointer<const float>(a.cos);
  prepare.sin = device_pointer<const float>(a.sin);
  prepare.batches = static_cast<int32_t>(a.batches);
  prepare.keys = keys;
  prepare.period = static_cast<int32_t>(a.queries);
  const int64_t threads =
      a.batches * key_tiles_of(a) * kMemoryKeys * memory_prepare_threads(a.value_dim);
  start(kernels.prepare, {tiles_of(threads, kPrepareThreads), 1, 1}, kPrepareThreads, stream,
        &prepare);

  MemoryAttentionArgs attend;
  attend.query = device_pointer<const uint16_t>(a.query);
  attend.tiles = prepare.tiles;
  attend.result = device_pointer<uint16_t>(a.result);
  attend.shares = device_pointer<float>(tiles + tile_bytes(a));
  attend.cos = prepare.cos;
  attend.sin = prepare.sin;
  attend.batches = prepare.batches;
  attend.queries = prepare.period;
  attend.keys = keys;
  attend.query_rows = static_cast<int32_t>(shape.query_rows);
  const int64_t query_tiles = a.batches * tiles_of(a.queries, shape.query_rows);
  attend.blocks =
      static_cast<int32_t>(std::min({std::max<int64_t>(current_gpu().multiprocessors, 1),
                                     kMaxBlocks, query_tiles * key_tiles_of(a)}));
  start(warpgroups ? kernels.warpgroup_attend : kernels.attend, {attend.blocks, 1, 1},
        shape.threads, stream, &attend, shape.shared_bytes);
  start(kernels.join, {query_tiles, shape.query_rows / kMemoryJoinRows, 1}, kBlockThreads, stream,
        &attend);
}

}  // namespace sam3trt
