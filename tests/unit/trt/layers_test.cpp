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
  EXPECT_EQ(count_fused_attentions(
                R"({"Layers": ["shape", "a_mha [profile 0]", "a_mha [profile 1]"]})"),
            1);
}

TEST(CountFusedAttentions, OtherTextHasNone) {
  for (const char* text : {"", "{}", "[", "[]", R"({"Layers": 3})", R"({"Layers": [1, {}]})"}) {
    EXPECT_EQ(count_fused_attentions(text), 0) << text;
  }
}

}  // namespace
}  // namespace sam3trt
