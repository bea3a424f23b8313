#include "fake_kernels.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/kernels/above.hpp"
#include "cuda/kernels/attention_mma.hpp"
#include "cuda/kernels/attention_warpgroup.hpp"
#include "cuda/kernels/box_bias.hpp"
#include "cuda/kernels/clean.hpp"
#include "cuda/kernels/count.hpp"
#include "cuda/kernels/enlarge.hpp"
#include "cuda/kernels/kept.hpp"
#include "cuda/kernels/mask.hpp"
#include "cuda/kernels/memory_attention_mma.hpp"
#include "cuda/kernels/memory_attention_warpgroup.hpp"
#include "cuda/kernels/normalise.hpp"
#include "cuda/kernels/overlap.hpp"
#include "cuda/kernels/patch.hpp"
#include "cuda/kernels/pixel.hpp"
#include "cuda/kernels/query_position.hpp"
#include "cuda/kernels/resize.hpp"
#include "cuda/kernels/select.hpp"
#include "fake_block.hpp"
#include "fake_memory.hpp"
#include "image/pack_pixels.hpp"

namespace sam3trt::fake {
namespace {

/// Ends the program when an address among the arguments lies in memory that was freed.
template <typename Args>
void check_addresses(const Args& args) {
  static_assert(std::is_trivially_copyable_v<Args>);
  uint64_t words[sizeof(Args) / sizeof(uint64_t)];
  std::memcpy(words, &args, sizeof(words));
  for (const uint64_t word : words) device_memory().refuse_freed(word, "a kernel");
}

template <typename Body>
void for_each_block(const Grid& grid, const Body& body) {
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) body(KernelThread{0, x, y, z, grid.y});
    }
  }
}

template <unsigned kThreads = kBlockThreads, typename Body>
void for_each_thread(KernelThread at, const Body& body) {
  for (at.thread = 0; at.thread < kThreads; ++at.thread) body(at);
}

/// A kernel without a barrier.
template <typename Args>
std::function<Work(Grid, void*)> plain(void (*body)(const Args&, KernelThread)) {
  return [body](Grid grid, void* parameters) {
    return [=, args = *static_cast<const Args*>(parameters)] {
      check_addresses(args);
      for_each_block(grid, [&](KernelThread block) {
        for_each_thread(block, [&](KernelThread at) { body(args, at); });
      });
    };
  };
}

/// A kernel whose block shares memory and waits between its parts.
template <typename Args, typename Shared, unsigned kThreads = kBlockThreads, typename... Parts>
std::function<Work(Grid, void*)> shared(Parts... parts) {
  return [=](Grid grid, void* parameters) {
    return [=, args = *static_cast<const Args*>(parameters)] {
      check_addresses(args);
      for_each_block(grid, [&](KernelThread block) {
        const auto memory = std::make_unique<Shared>();
        (for_each_thread<kThreads>(block, [&](KernelThread at) { parts(args, at, *memory); }), ...);
      });
    };
  };
}

void resize_rows(const ResizeArgs& args, KernelThread at) {
  if (args.half) {
    resize_rows_body<uint16_t>(args, at);
  } else {
    resize_rows_body<float>(args, at);
  }
}

void pack(const PackArgs& args, KernelThread at) {
  if (at.x() >= args.width) return;
  for (int64_t y = at.block_y; y < args.height; y += at.blocks_y) pack_pixel(args, at.x(), y);
}

struct Scores {
  float values[kMaxQueries];
};

/// A kernel whose threads work together as warps.
template <typename Attention, typename Warp, typename Args = AttentionArgs>
Work attention(Grid grid, void* parameters) {
  return [=, args = *static_cast<const Args*>(parameters)] {
    check_addresses(args);
    for_each_block(grid, [&](KernelThread at) {
      FakeBlock block(Attention::kThreads, {at.block_x, at.block_y, at.block_z});
      const size_t elements =
          std::max<size_t>(Attention::kSharedElements, grid.shared_bytes / sizeof(uint16_t));
      std::vector<uint16_t> shared(elements, 0xFFFF);  // NaN
      block.run([&](int /*thread*/) {
        Warp warp(block);
        Attention(args, warp, shared.data()).run();
      });
    });
  };
}

template <int kDim, typename Type>
Work mma_attention(Grid grid, void* parameters) {
  using Warp = FakeWarp<Type>;
  using Attention = MmaAttention<AttentionTile<kDim>, Warp>;
  return attention<Attention, Warp>(grid, parameters);
}

template <int kDim, typename Type>
Work grid_attention(Grid grid, void* parameters) {
  using Warp = FakeWarp<Type>;
  using Attention = MmaAttention<GridAttentionTile<kDim>, Warp>;
  return attention<Attention, Warp>(grid, parameters);
}

template <int kDim, typename Type>
Work warpgroup_attention(Grid grid, void* parameters) {
  using Warp = FakeWarpgroup<Type>;
  return attention<WarpgroupAttention<kDim, Warp>, Warp>(grid, parameters);
}

/// The kernels of attention to memories, by name.
template <int kValueDim, typename Type>
std::map<std::string, Kernel> memory_kernels(const std::string& name) {
  using Warp = FakeWarp<Type>;
  using Mma = MmaMemoryAttention<kValueDim, Warp>;
  using Warpgroup = WarpgroupMemoryAttention<kValueDim, FakeWarpgroup<Type>>;
  return {{"sam3trt_memory_prepare_" + name,
           {plain<MemoryPrepareArgs>([](const MemoryPrepareArgs& args, KernelThread at) {
             memory_prepare_body<kValueDim, Warp>(args, at.x());
           })}},
          {"sam3trt_memory_attention_" + name,
           {attention<Mma, Warp, MemoryAttentionArgs>, Mma::kThreads}},
          {"sam3trt_memory_join_" + name,
           {plain<MemoryAttentionArgs>(memory_join_body<kValueDim, Warp>)}},
          {"sam3trt_warpgroup_memory_attention_" + name,
           {attention<Warpgroup, FakeWarpgroup<Type>, MemoryAttentionArgs>, Warpgroup::kThreads}}};
}

/// What stands before products, by name.
template <typename Type>
std::map<std::string, Kernel> product_kernels(const std::string& name) {
  using Warp = FakeWarp<Type>;
  const auto normalise = [&]<typename Body>(const Body*) {
    return Kernel{attention<Body, Warp, NormaliseArgs>, Body::kThreads};
  };
  const std::string prefix = "sam3trt_normalise_" + name;
  const std::string residual = "sam3trt_residual_norm_" + name;
  const std::string gathered = "sam3trt_gathered_norm_" + name;
  constexpr RowSource kResidual = RowSource::kResidual;
  constexpr RowSource kIndex = RowSource::kIndex;
  return {
      {residual + "_256",
       normalise(static_cast<NormaliseRows<2, false, Warp, kResidual>*>(nullptr))},
      {residual + "_1024",
       normalise(static_cast<NormaliseRows<8, false, Warp, kResidual>*>(nullptr))},
      {residual + "_2048",
       normalise(static_cast<NormaliseRows<16, false, Warp, kResidual>*>(nullptr))},
      {gathered + "_256", normalise(static_cast<NormaliseRows<1, false, Warp, kIndex>*>(nullptr))},
      {gathered + "_1024", normalise(static_cast<NormaliseRows<4, false, Warp, kIndex>*>(nullptr))},
      {gathered + "_2048", normalise(static_cast<NormaliseRows<8, false, Warp, kIndex>*>(nullptr))},
      {prefix + "_1024", normalise(static_cast<NormaliseRows<4, false, Warp>*>(nullptr))},
      {prefix + "_2048", normalise(static_cast<NormaliseRows<8, false, Warp>*>(nullptr))},
      {prefix + "_e4m3_1024", normalise(static_cast<NormaliseRows<4, true, Warp>*>(nullptr))},
      {prefix + "_e4m3_2048", normalise(static_cast<NormaliseRows<8, true, Warp>*>(nullptr))},
      {"sam3trt_quantise_" + name, {plain<QuantiseArgs>(quantise_body<Warp>)}}};
}

/// What stands between the mask head's convolutions and before the vision encoder's blocks, by
/// name.
template <typename Type>
std::map<std::string, Kernel> pixel_kernels(const std::string& name) {
  using Warp = FakeWarp<Type>;
  return {{"sam3trt_patches_" + name,
           {shared<PatchArgs, PatchRows>(patch_load_body<Warp>, patch_write_body)}},
          {"sam3trt_upsampled_sum_" + name,
           {shared<UpsampledSumArgs, SumTile>(upsampled_sum_load_body,
                                              upsampled_sum_write_body<Warp>)}},
          {"sam3trt_group_sums_" + name,
           {shared<GroupNormArgs, GroupSums>(group_part_body<Warp>, group_sum_body)}},
          {"sam3trt_group_norm_" + name,
           {shared<GroupNormArgs, GroupScales>(group_gather_body, group_scale_body<Warp>,
                                               group_apply_body<Warp>)}}};
}

template <int kDim, typename Type>
void rotate_keys(const RotateArgs& args, KernelThread at) {
  rotate_keys_body<kDim, FakeWarp<Type>>(args, at.x());
}

}  // namespace

std::map<std::string, Kernel>& kernels() {
  constexpr unsigned kMmaThreads = 128;
  constexpr unsigned kGridThreads = 256;
  static std::map<std::string, Kernel> all = {
      {"sam3trt_pack", {plain<PackArgs>(pack)}},
      {"sam3trt_resize_columns", {plain<ResizeArgs>(resize_columns_body)}},
      {"sam3trt_resize_rows", {plain<ResizeArgs>(resize_rows)}},
      {"sam3trt_select",
       {shared<SelectArgs, Scores>(
           [](const auto& args, auto at, auto& s) { select_score_body(args, at, s.values); },
           [](const auto& args, auto at, auto& s) { select_write_body(args, at, s.values); })}},
      {"sam3trt_find_nonfinite", {plain<FiniteArgs>(find_nonfinite_body)}},
      {"sam3trt_mask_sigmoid", {plain<MaskArgs>(mask_sigmoid_body)}},
      {"sam3trt_mask_bits", {plain<MaskArgs>(mask_bits_body)}},
      {"sam3trt_mask_count", {plain<MaskArgs>(mask_count_body)}},
      {"sam3trt_above", {plain<AboveArgs>(above_body)}},
      {"sam3trt_clean_words", {plain<CleanArgs>(clean_words_body)}},
      {"sam3trt_clean_begin", {plain<CleanArgs>(clean_begin_body)}},
      {"sam3trt_clean_join", {plain<CleanArgs>(clean_join_body)}},
      {"sam3trt_clean_count", {plain<CleanArgs>(clean_count_body)}},
      {"sam3trt_clean_apply", {plain<CleanArgs>(clean_apply_body)}},
      {"sam3trt_won", {plain<WonArgs>(won_body)}},
      {"sam3trt_lower", {plain<LowerArgs>(lower_body)}},
      {"sam3trt_count", {shared<CountArgs, CountSums>(count_part_body, count_sum_body)}},
      {"sam3trt_mask_scan_columns",
       {shared<MaskArgs, MaskSums>(mask_sum_columns_body, mask_scan_columns_body)}},
      {"sam3trt_mask_scan_tasks",
       {shared<MaskArgs, MaskSums>(mask_sum_tasks_body, mask_scan_tasks_body)}},
      {"sam3trt_mask_write", {plain<MaskArgs>(mask_write_body)}},
      {"sam3trt_keep_rows", {plain<KeepArgs>(keep_rows_body)}},
      {"sam3trt_gather_rows", {plain<GatherArgs>(gather_rows_body)}},
      {"sam3trt_window_map", {plain<WindowMapArgs>(window_map_body)}},
      {"sam3trt_enlarge", {plain<EnlargeArgs>(enlarge_body)}},
      {"sam3trt_memory_count", {plain<MemoryCountArgs>(memory_count_body)}},
      {"sam3trt_warpgroup_attention_f16_32",
       {warpgroup_attention<32, FakeFloat16>, WarpgroupSizes<32>::kThreads}},
      {"sam3trt_warpgroup_attention_bf16_32",
       {warpgroup_attention<32, FakeBFloat16>, WarpgroupSizes<32>::kThreads}},
      {"sam3trt_warpgroup_attention_f16_64",
       {warpgroup_attention<64, FakeFloat16>, WarpgroupSizes<64>::kThreads}},
      {"sam3trt_warpgroup_attention_bf16_64",
       {warpgroup_attention<64, FakeBFloat16>, WarpgroupSizes<64>::kThreads}},
      {"sam3trt_box_bias",
       {shared<BoxBiasArgs, BoxBiasWeights>(box_bias_load_body, box_bias_body)}},
      {"sam3trt_query_position",
       {shared<QueryPositionArgs, QueryPositionRows, kQueryPositionThreads>(
            query_position_encode_body, query_position_hidden_body, query_position_join_body,
            query_position_output_body, query_position_write_body),
        kQueryPositionThreads}},
      {"sam3trt_attention_f16_16", {mma_attention<16, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_16", {plain<RotateArgs>(rotate_keys<16, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_16", {grid_attention<16, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_f16_32", {mma_attention<32, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_32", {plain<RotateArgs>(rotate_keys<32, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_32", {grid_attention<32, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_f16_64", {mma_attention<64, FakeFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_f16_64", {plain<RotateArgs>(rotate_keys<64, FakeFloat16>)}},
      {"sam3trt_grid_attention_f16_64", {grid_attention<64, FakeFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_16", {mma_attention<16, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_16", {plain<RotateArgs>(rotate_keys<16, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_16", {grid_attention<16, FakeBFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_32", {mma_attention<32, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_32", {plain<RotateArgs>(rotate_keys<32, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_32", {grid_attention<32, FakeBFloat16>, kGridThreads}},
      {"sam3trt_attention_bf16_64", {mma_attention<64, FakeBFloat16>, kMmaThreads}},
      {"sam3trt_rotate_keys_bf16_64", {plain<RotateArgs>(rotate_keys<64, FakeBFloat16>)}},
      {"sam3trt_grid_attention_bf16_64", {grid_attention<64, FakeBFloat16>, kGridThreads}},
  };
  static const bool kMore = [] {
    all.merge(product_kernels<FakeFloat16>("f16"));
    all.merge(product_kernels<FakeBFloat16>("bf16"));
    all.merge(pixel_kernels<FakeFloat16>("f16"));
    all.merge(pixel_kernels<FakeBFloat16>("bf16"));
    all.merge(memory_kernels<64, FakeFloat16>("f16_64"));
    all.merge(memory_kernels<256, FakeFloat16>("f16_256"));
    all.merge(memory_kernels<64, FakeBFloat16>("bf16_64"));
    all.merge(memory_kernels<256, FakeBFloat16>("bf16_256"));
    return true;
  }();
  static_cast<void>(kMore);
  return all;
}

}  // namespace sam3trt::fake
