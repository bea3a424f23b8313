#include "cuda/operators.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

/// Runs all small cases; returns how many there were.
int check_cases(decltype(run_attention_cases)* run) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run(device, {.exact = false, .timed_launches = 0}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": differs by up to " << result.largest;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  return cases;
}

TEST(OperatorKernels, GiveWhatAttentionIsDefinedAs) {
  EXPECT_EQ(check_cases(run_attention_cases), 22);  // ten of them with wgmma, too
}

TEST(OperatorKernels, GiveWhatAttentionWithoutRotationIsDefinedAs) {
  EXPECT_EQ(check_cases(run_plain_attention_cases), 18);  // five of them likewise
}

TEST(OperatorKernels, GiveWhatAttentionToAGridIsDefinedAs) {
  EXPECT_EQ(check_cases(run_grid_attention_cases), 7);
}

TEST(OperatorKernels, GiveWhatAttentionToMemoriesIsDefinedAs) {
  EXPECT_EQ(check_cases(run_memory_attention_cases), 28);  // half of them with wgmma
}

TEST(OperatorKernels, GiveWhatTheBiasByBoxesIsDefinedAs) {
  EXPECT_EQ(check_cases(run_box_bias_cases), 5);
}

TEST(OperatorKernels, GiveThePositionsOfQueries) {
  EXPECT_EQ(check_cases(run_query_position_cases), 5);
}

TEST(OperatorKernels, GiveResidualSumsAndTheirNormalisation) {
  EXPECT_EQ(check_cases(run_residual_norm_cases), 9);
}

TEST(OperatorKernels, GiveWhatStandsBetweenTheMaskHeadsConvolutions) {
  EXPECT_EQ(check_cases(run_pixel_cases), 6 + 5 + 7);
}

TEST(OperatorKernels, GiveWhatStandsAtBothEndsOfTheVisionEncoder) {
  EXPECT_EQ(check_cases(run_patch_cases), 5 + 4);
}

TEST(OperatorKernels, RefuseRowsOfSizesThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const OperatorKernels kernels(device.driver());
  ResidualNorm call;
  call.rows = 3;
  call.columns = kMostNormalisedColumns;
  EXPECT_TRUE(call.fits());
  for (const int64_t columns : {int64_t{0}, int64_t{-8}, int64_t{12}, kMostNormalisedColumns + 8}) {
    call.columns = columns;
    EXPECT_FALSE(call.fits());
    EXPECT_THROW(kernels.launch(call, stream.handle()), Error);
  }
  call.columns = 8;
  for (const int64_t rows : {int64_t{0}, int64_t{-1}, int64_t{1} << 31}) {
    call.rows = rows;
    EXPECT_FALSE(call.fits());
  }
}

TEST(OperatorKernels, AreThereForSomeSizesOfHeads) {
  EXPECT_TRUE(has_attention_kernel(64));
  EXPECT_FALSE(has_attention_kernel(12));
  EXPECT_FALSE(has_attention_kernel(0));
}

TEST(OperatorKernels, RefuseSizesThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const OperatorKernels kernels(device.driver());
  RotaryAttention call;
  call.batches = call.heads = 1;
  call.tokens = 10;
  call.window = 4;  // does not divide the tokens
  call.head_dim = 16;
  EXPECT_THROW(kernels.launch(call, stream.handle()), Error);
  call.window = 5;
  call.head_dim = 12;
  EXPECT_THROW(kernels.launch(call, stream.handle()), Error);
  call.head_dim = 16;
  call.type = DType::kF32;
  EXPECT_THROW(kernels.launch(call, stream.handle()), Error);
  call.type = DType::kF16;
  call.heads = 70000;  // more than a grid takes
  EXPECT_THROW(kernels.launch(call, stream.handle()), Error);
  GridAttention grid{.prompts = 1, .queries = 1, .rows = 1, .columns = 0, .heads = 1};
  grid.head_dim = 16;
  EXPECT_THROW(kernels.launch(grid, stream.handle()), Error);
  grid.columns = 1;
  for (const int64_t rows : {int64_t{600}, int64_t{1} << 40}) {  // more bias than a block can hold
    grid.rows = rows;
    EXPECT_FALSE(grid.fits());
    EXPECT_THROW(kernels.launch(grid, stream.handle()), Error);
  }
  grid.rows = 1;
  grid.head_dim = 12;
  EXPECT_THROW(kernels.launch(grid, stream.handle()), Error);
  PlainAttention plain{.prompts = 1, .queries = 1, .keys = 0, .heads = 1, .head_dim = 16};
  EXPECT_THROW(kernels.launch(plain, stream.handle()), Error);
  plain.keys = 1;
  EXPECT_TRUE(plain.fits());
  plain.head_dim = 12;
  EXPECT_THROW(kernels.launch(plain, stream.handle()), Error);
}

TEST(OperatorKernels, RefuseAttentionToMemoriesOfSizesThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const OperatorKernels kernels(device.driver());
  MemoryAttention good;
  good.batches = good.queries = good.rotated_keys = 1;
  good.value_dim = 64;
  EXPECT_TRUE(good.fits());
  EXPECT_EQ(kernels.best_form(good), AttentionForm::kWarpgroup);
  for (int64_t MemoryAttention::*size :
       {&MemoryAttention::batches, &MemoryAttention::queries, &MemoryAttention::rotated_keys,
        &MemoryAttention::value_dim}) {
    for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
      MemoryAttention bad = good;
      bad.*size = value;
      EXPECT_FALSE(bad.fits());
      EXPECT_THROW(kernels.launch(bad, stream.handle()), Error);
    }
  }
  MemoryAttention bad = good;
  bad.plain_keys = -1;
  EXPECT_FALSE(bad.fits());
  bad = good;
  bad.value_dim = 32;  // no kernel
  EXPECT_FALSE(bad.fits());
  bad = good;
  bad.queries = bad.rotated_keys = 1 << 24;  // more pairs of tiles than a grid has room for
  EXPECT_FALSE(bad.fits());
  bad = good;
  bad.type = DType::kF32;
  EXPECT_THROW(kernels.launch(bad, stream.handle()), Error);
}

TEST(OperatorKernels, RefuseABiasOfSizesThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const OperatorKernels kernels(device.driver());
  BoxBias good;
  good.prompts = 1;
  good.queries = 3;
  good.boxed = good.heads = 2;
  good.hidden = 4;
  good.rows.lines = good.columns.lines = 5;
  EXPECT_TRUE(good.fits());
  for (int64_t BoxBias::*size :
       {&BoxBias::prompts, &BoxBias::queries, &BoxBias::hidden, &BoxBias::heads}) {
    for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
      BoxBias bad = good;
      bad.*size = value;
      EXPECT_FALSE(bad.fits());
      EXPECT_THROW(kernels.launch(bad, stream.handle()), Error);
    }
  }
  for (const int64_t boxed : {-1, 4}) {
    BoxBias bad = good;
    bad.boxed = boxed;
    EXPECT_FALSE(bad.fits());
  }
  BoxBias bad = good;
  bad.columns.lines = 0;
  EXPECT_FALSE(bad.fits());
}

TEST(OperatorKernels, RefusePositionsOfSizesThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const OperatorKernels kernels(device.driver());
  QueryPosition good;
  good.prompts = good.hidden = good.width = 2;
  good.queries = 5;
  good.unboxed = 1;
  good.frequency_count = 3;
  EXPECT_TRUE(good.fits());
  for (int64_t QueryPosition::*size :
       {&QueryPosition::prompts, &QueryPosition::queries, &QueryPosition::hidden,
        &QueryPosition::width, &QueryPosition::frequency_count}) {
    for (const int64_t value : {int64_t{0}, int64_t{-1}, int64_t{1} << 40}) {
      QueryPosition bad = good;
      bad.*size = value;
      EXPECT_FALSE(bad.fits());
      EXPECT_THROW(kernels.launch(bad, stream.handle()), Error);
    }
  }
  for (const int64_t unboxed : {-1, 6}) {
    QueryPosition bad = good;
    bad.unboxed = unboxed;
    EXPECT_FALSE(bad.fits());
  }
  QueryPosition bad = good;
  bad.frequency_count = kMaxQueryPositionInputs / 8 + 1;
  EXPECT_FALSE(bad.fits());
}

TEST(OperatorKernels, WgmmaIsTakenForHeadsOf32And64OnAGpuThatHasIt) {
  const CudaDevice device(0, fake_driver());  // of compute capability 9.0
  const OperatorKernels kernels(device.driver());
  RotaryAttention call;
  PlainAttention plain;
  for (const int64_t head_dim : {16, 32, 64}) {
    call.head_dim = plain.head_dim = head_dim;
    const auto expected = head_dim == 16 ? AttentionForm::kMma : AttentionForm::kWarpgroup;
    EXPECT_EQ(kernels.best_form(call), expected) << head_dim;
    EXPECT_EQ(kernels.best_form(plain), expected) << head_dim;
  }
  call.head_dim = plain.head_dim = 16;
  call.batches = call.heads = plain.prompts = plain.heads = 1;
  call.tokens = call.window = plain.queries = plain.keys = 5;
  const Stream stream(device);
  EXPECT_THROW(kernels.launch(call, stream.handle(), AttentionForm::kWarpgroup), Error);
  EXPECT_THROW(kernels.launch(plain, stream.handle(), AttentionForm::kWarpgroup), Error);
}

TEST(OperatorKernels, FreeTheirLibraryAndSayWhenThereIsNone) {
  const int before = fake_cuda_live_objects();
  { const OperatorKernels kernels(fake_driver()); }
  EXPECT_EQ(fake_cuda_live_objects(), before);
  fake_cuda_fail_next("cuLibraryLoadData", 209);
  EXPECT_THROW(OperatorKernels{fake_driver()}, Error);
}

}  // namespace
}  // namespace sam3trt
