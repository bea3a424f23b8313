#include "checkpoint/wrapped_names.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/plan.hpp"
#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace testing_files;

std::vector<StoredTensor> tensors_of(const std::vector<std::string>& names) {
  std::vector<StoredTensor> tensors(names.size());
  for (size_t i = 0; i < names.size(); ++i) tensors[i].name = names[i];
  return tensors;
}

const std::string kMeta = "backbone.vision_backbone.trunk.pos_embed";
const std::string kHf = "vision_encoder.backbone.layer_norm.weight";

TEST(WrappedNames, WrappersInAnyNestingAndOrderAreDropped) {
  for (const std::string prefix :
       {"", "module.", "_orig_mod.", "model.", "detector.", "module._orig_mod.detector.",
        "_orig_mod.module.model.detector.", "sam3_model.", "net.student.", "base_model.model.",
        "_forward_module.model.", "state_dict.model.module."}) {
    EXPECT_EQ(naming_of(prefix + kMeta), Naming::kMeta) << prefix;
    EXPECT_EQ(naming_of(prefix + kHf), Naming::kHuggingFace) << prefix;
    const auto tensors = tensors_of({prefix + kMeta, prefix + "transformer.decoder.x.weight"});
    EXPECT_THAT(unwrap_names(tensors, Naming::kMeta).names,
                ElementsAre(kMeta, "transformer.decoder.x.weight"))
        << prefix;
  }
}

TEST(WrappedNames, WrappersOfSingleModulesAreDroppedInsideNames) {
  const auto tensors = tensors_of(
      {"model._orig_mod.backbone.vision_backbone.trunk.blocks.0._checkpoint_wrapped_module.norm1."
       "weight",
       "model.transformer._fsdp_wrapped_module.encoder.layers.0.module.norm1.weight"});
  EXPECT_THAT(unwrap_names(tensors, Naming::kMeta).names,
              ElementsAre("backbone.vision_backbone.trunk.blocks.0.norm1.weight",
                          "transformer.encoder.layers.0.norm1.weight"));
}

TEST(WrappedNames, NeighboursOfTheModelLoseTheWrappersTheyShare) {
  const auto tensors = tensors_of({"module.detector." + kMeta, "module.tracker.x", "criterion.w"});
  EXPECT_THAT(unwrap_names(tensors, Naming::kMeta).names,
              ElementsAre(kMeta, "tracker.x", "criterion.w"));
}

TEST(WrappedNames, OfSeveralCopiesTheTrainedOneIsTaken) {
  const auto tensors = tensors_of(
      {"ema_model." + kHf, "student_of_many." + kHf, "optimizer.exp_avg." + kHf, "ema_model.x"});
  const ModelNames model = unwrap_names(tensors, Naming::kHuggingFace);
  EXPECT_EQ(model.prefix, "student_of_many.");
  EXPECT_THAT(model.other_copy, ElementsAre(true, false, true, true));
  EXPECT_THAT(model.other_prefixes, ElementsAre("ema_model.", "optimizer.exp_avg."));
}

TEST(WrappedNames, NamesOfOtherModelsStayAsTheyAre) {
  const auto tensors = tensors_of({"bert.embeddings.weight"});
  const ModelNames model = unwrap_names(tensors, Naming::kMeta);
  EXPECT_THAT(model.names, ElementsAre("bert.embeddings.weight"));
  EXPECT_THAT(model.other_prefixes, IsEmpty());
  EXPECT_EQ(naming_of("my_vision_encoder.backbone.x"), std::nullopt);
  EXPECT_EQ(naming_of("..."), std::nullopt);
}

TEST(WrappedNames, EveryNameOfThePublishedModelsIsKept) {
  for (const auto& [list, naming] : {std::pair{"hf_image_tensors.txt", Naming::kHuggingFace},
                                     std::pair{"hf_video_tensors.txt", Naming::kHuggingFace},
                                     std::pair{"meta_tensors.txt", Naming::kMeta}}) {
    auto tensors = read_tensor_list(list);
    const ModelNames plain = unwrap_names(tensors, naming);
    for (StoredTensor& tensor : tensors) tensor.name = "module._orig_mod.model." + tensor.name;
    EXPECT_EQ(unwrap_names(tensors, naming).names, plain.names) << list;
    EXPECT_THAT(plain.other_prefixes, IsEmpty()) << list;
  }
}

}  // namespace
}  // namespace sam3trt
