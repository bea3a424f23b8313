#include "trt/layers.hpp"

#include <gtest/gtest.h>

namespace sam3trt {
namespace {

TEST(CountFusedAttentions, LooksAtTheNamesOfLayers) {
  EXPECT_EQ(count_fused_attentions(R"({"Layers": [
      {"Name": "/vision/blocks.0/attn/scores_gemm_mha_v2", "LayerType": "x"},
      {"Name": "/vision/blocks.0/mlp/fc1", "Metadata": "_gemm_mha_v2"},
      {"Name": "__myl_fmha_1"}], "Bindings": ["mha"]})"),
            2);
  EXPECT_EQ(count_fused_attentions(R"({"Layers": ["a_gemm_mha_v2", "b"]})"), 1);
}

TEST(CountFusedAttentions, OfSeveralProfilesTheOneWithTheFewestCounts) {
  EXPECT_EQ(count_fused_attentions(R"({"Layers": ["a_mha", "b_mha", "c_mha [profile 1]"]})"), 1);
  EXPECT_EQ(count_fused_attentions(R"({"Layers": [
      {"Name": "a_mha"}, {"Name": "a_mha [profile 1]"}, {"Name": "b_mha [profile 1]"}]})"),
            1);
  EXPECT_EQ(count_fused_attentions(R"({"Layers": ["a_mha", "b [profile 1]"]})"), 0);
}

// As TensorRT 10.6 named the layers of a detector with two profiles.
TEST(CountFusedAttentions, NamesOfTheLibrarysOwnAreSharedAmongTheProfiles) {
  EXPECT_EQ(count_fused_attentions(R"({"Layers": [
      {"Name": "/encoder/layers_0/self_attn/v_proj/matmul_myl0_9"}, {"Name": "_gemm_mha_v2_myl0_13"},
      {"Name": "_gemm_mha_v2_myl0_52"}, {"Name": "_gemm_mha_v2_myl1_13"},
      {"Name": "/encoder/layers_0/self_attn/v_proj/matmul [profile 1]_myl1_9"},
      {"Name": "_gemm_mha_v2_myl1_52"}]})"),
            2);
}

TEST(CountFusedAttentions, OtherTextHasNone) {
  for (const char* text : {"", "{}", "[", "[]", R"({"Layers": 3})", R"({"Layers": [1, {}]})"}) {
    EXPECT_EQ(count_fused_attentions(text), 0) << text;
  }
}

}  // namespace
}  // namespace sam3trt
