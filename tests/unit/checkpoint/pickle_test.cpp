#include "checkpoint/pickle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "file_builders.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using namespace testing_files;
using namespace std::string_literals;

const std::string kProto2 = "\x80\x02"s;

std::vector<PickledTensor> load(const std::string& pickle) {
  return unpickle_state_dict(as_bytes(pickle), "data.pkl");
}

std::string pickle_error(const std::string& pickle) {
  return error_of([&] { static_cast<void>(load(pickle)); });
}

std::string tensor() { return pickle_tensor(pickle_storage("FloatStorage", "7", 4), 1, {3}, {1}); }

TEST(Pickle, ReadsADictionaryOfTensors) {
  const auto tensors = load(pickle_dict({{"a.weight", tensor()}}));
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(tensors[0].name, "a.weight");
  EXPECT_EQ(tensors[0].dtype, DType::kF32);
  EXPECT_EQ(tensors[0].dtype_name, "Float");
  EXPECT_EQ(tensors[0].storage_key, "7");
  EXPECT_EQ(tensors[0].storage_bytes, 16U);
  EXPECT_EQ(tensors[0].offset, 1);
  EXPECT_EQ(tensors[0].shape, Shape{3});
}

TEST(Pickle, ReadsParametersMetadataAndMemos) {
  // OrderedDict() [memo 0], one parameter, then BUILD with {"_metadata": the dictionary itself}.
  const std::string pickle = kProto2 + "ccollections\nOrderedDict\n)Rq\x00"s + pickle_text("a") +
                             "ctorch._utils\n_rebuild_parameter\n(" + tensor() +
                             "\x88"
                             "ccollections\nOrderedDict\n)RtRs}"s +
                             pickle_text("_metadata") + "h\x00sb."s;
  EXPECT_EQ(load(pickle).size(), 1U);
}

TEST(Pickle, ReadsProtocol5) {
  const auto text = [](const std::string& value) {
    return "\x8c"s + static_cast<char>(value.size()) + value + "\x94";
  };
  // _rebuild_tensor_v3 with an untyped storage and a dtype, all by STACK_GLOBAL, framed.
  const std::string pickle =
      "\x80\x05\x95"s + little(1000, 8) + "}\x94(" + text("b") + text("torch._utils") +
      text("_rebuild_tensor_v3") + "\x93\x94((" + text("storage") + text("torch.storage") +
      text("UntypedStorage") + "\x93\x94" + text("0") + text("cpu") +
      "K\x08t\x94QK\x01K\x03\x85K\x01" + "\x85\x89" + text("collections") + text("OrderedDict") +
      "\x93)R" + text("torch") + text("bfloat16") + "\x93t\x94R\x94u.";
  const auto tensors = load(pickle);
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(tensors[0].dtype, DType::kBF16);
  EXPECT_EQ(tensors[0].storage_bytes, 8U);
  EXPECT_EQ(tensors[0].offset, 1);
}

TEST(Pickle, LongIntegersKeepTheirSign) {
  const auto offset = [](const std::string& integer) {
    return kProto2 + "}" + pickle_text("a") + "ctorch._utils\n_rebuild_tensor_v2\n(" +
           pickle_storage("FloatStorage", "0", 4) + integer + "))\x89}tRs.";
  };
  EXPECT_EQ(load(offset("\x8a\x01\x7f"s))[0].offset, 127);
  EXPECT_EQ(load(offset("\x8a\x02\xff\x00"s))[0].offset, 255);
  EXPECT_EQ(load(offset("\x8a\x00"s))[0].offset, 0);
  EXPECT_THAT(pickle_error(offset("\x8a\x01\xff"s)), HasSubstr("negative storage offset"));
  EXPECT_THAT(pickle_error(offset("\x8a\x09"s + std::string(9, '\1'))), HasSubstr("64 bits"));
}

TEST(Pickle, UnknownGlobalsAreRefusedByName) {
  EXPECT_THAT(pickle_error(kProto2 + "cos\nsystem\n(" + pickle_text("true") + "tR."),
              HasSubstr("data.pkl: byte 2: names os.system, which no state dict needs; nothing of "
                        "it was executed"));
  EXPECT_THAT(pickle_error(kProto2 + "csam3.model.sam3_image\nSam3Image\n)\x81."),
              AllOf(HasSubstr("names sam3.model.sam3_image.Sam3Image"),
                    HasSubstr("seems to be a whole pickled model"),
                    HasSubstr("torch.save(model.state_dict(), FILE)")));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch._utils\n_rebuild_qtensor\n."),
              HasSubstr("holds quantised tensors"));
  EXPECT_THAT(pickle_error("\x80\x04\x8c\x08"
                           "builtins\x8c\x04"
                           "eval\x93."s),
              HasSubstr("builtins.eval"));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch\nFloatStorage2\n."), HasSubstr("torch.FloatStorage2"));
  EXPECT_THAT(pickle_error(kProto2 + "ca\x1b[31m\nb\n."), HasSubstr("names a?[31m.b"));
}

TEST(Pickle, OtherOpcodesAreRefused) {
  // INST, OBJ, EXT1 and the text opcodes of protocol 0.
  for (const std::string code : {"iposix\nsystem\n", "o", "\x82\x01", "I1\n", "S'a'\n"}) {
    EXPECT_THAT(pickle_error(kProto2 + "(" + code + "."),
                HasSubstr("does not occur in state dicts"));
  }
  EXPECT_THAT(pickle_error("\x80\x01."s), HasSubstr("pickle protocol 1 is not supported"));
  EXPECT_THAT(pickle_error("\x80\x06."s), HasSubstr("pickle protocol 6 is not supported"));
}

TEST(Pickle, CallsOfClassesAreRefused) {
  EXPECT_THAT(pickle_error(kProto2 + "ctorch\nFloatStorage\n)R."), HasSubstr("cannot be called"));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch\nfloat32\n)R."), HasSubstr("cannot be called"));
  EXPECT_THAT(pickle_error(kProto2 + "ccollections\nOrderedDict\n(K\x01tR."),
              HasSubstr("OrderedDict is called with arguments"));
}

TEST(Pickle, ACyclicStructureIsHarmless) {
  // A dictionary that holds itself under "model", and a list in itself.
  const std::string self = kProto2 + "}q\x00"s + pickle_text("model") + "h\x00s."s;
  EXPECT_THAT(pickle_error(self),
              HasSubstr("the entry \"model\" of the state dict is not a tensor"));
  const std::string list = kProto2 + "}"s + pickle_text("a") +
                           "]q\x01h\x01"
                           "as."s;
  EXPECT_THAT(pickle_error(list), HasSubstr("the entry \"a\" of the state dict is not a tensor"));
  const std::string tuple = kProto2 +
                            "ctorch._utils\n_rebuild_tensor_v2\n(]q\x00h\x00"
                            "a"s +
                            std::string(5, 'N') + "tR."s;
  EXPECT_THAT(pickle_error(tuple), HasSubstr("expected a storage"));
}

TEST(Pickle, StackAndMemoMisuseIsRefused) {
  EXPECT_THAT(pickle_error(kProto2 + "."), HasSubstr("takes from an empty stack"));
  EXPECT_THAT(pickle_error(kProto2 + "0."), HasSubstr("takes from an empty stack"));
  EXPECT_THAT(pickle_error(kProto2 + "t."), HasSubstr("has no mark"));
  EXPECT_THAT(pickle_error(kProto2 + "K\x01(\x85."), HasSubstr("takes from an empty stack"));
  EXPECT_THAT(pickle_error(kProto2 + "h\x05."), HasSubstr("memo 5, which is not set"));
  EXPECT_THAT(pickle_error(kProto2 + "q\x05."), HasSubstr("takes from an empty stack"));
  EXPECT_THAT(pickle_error(kProto2 + "}(K\x01u."), HasSubstr("last value is missing"));
  EXPECT_THAT(pickle_error(kProto2 + "N"), HasSubstr("the pickle is cut short"));
  EXPECT_THAT(pickle_error(kProto2 + "X" + little(UINT32_MAX, 4) + "a"), HasSubstr("cut short"));
  EXPECT_THAT(pickle_error(kProto2 + "\x8d" + little(UINT64_MAX, 8) + "a"), HasSubstr("cut short"));
  EXPECT_THAT(pickle_error(kProto2 + "c" + std::string(5000, 'a')), HasSubstr("name does not end"));
  EXPECT_THAT(pickle_error(""), HasSubstr("cut short"));
}

TEST(Pickle, WhatIsNoStateDictIsRefused) {
  EXPECT_THAT(pickle_error(kProto2 + "N."), HasSubstr("expected a dictionary of tensors"));
  EXPECT_THAT(pickle_error(kProto2 + "}K\x01" + tensor() + "s."), HasSubstr("not a tensor name"));
  EXPECT_THAT(pickle_error(pickle_dict({{"a\n", tensor()}})), HasSubstr("not a tensor name"));
  EXPECT_THAT(pickle_error(pickle_dict({{"a", tensor()}, {"a", tensor()}})),
              HasSubstr("tensor \"a\" appears twice"));
  EXPECT_THAT(pickle_error(pickle_dict({{"epoch", "K\x01"}})),
              HasSubstr("the entry \"epoch\" of the state dict is not a tensor"));
}

TEST(Pickle, BombsAreRefused) {
  // Each byte makes an object; and each level doubles a tuple's leaves without copying them.
  EXPECT_THAT(pickle_error(kProto2 + std::string(2'000'000, ']')), HasSubstr("1000000 objects"));
  std::string doubled = kProto2 + "K\x01";
  for (int i = 0; i < 500'000; ++i) doubled += "2\x86";
  EXPECT_THAT(pickle_error(doubled + "."), HasSubstr("expected a dictionary of tensors"));
  EXPECT_THAT(pickle_error(std::string((16U << 20U) + 1, ']')), HasSubstr("larger than 16 MiB"));
  // One long tuple named as the arguments of many calls.
  std::string calls = kProto2 + "(" + std::string(500'000, 'N') + "tq\x01"s;
  for (int i = 0; i < 1000; ++i) calls += "ctorch._utils\n_rebuild_parameter\nh\x01R"s;
  EXPECT_THAT(pickle_error(calls + "."), HasSubstr("too many values in the arguments of a call"));
}

/// A dictionary of pickled values, to stand in another one.
std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = "}(";
  for (const auto& [name, value] : items) text += pickle_text(name) + value;
  return text + "u";
}

const std::string kTrunk = "backbone.vision_backbone.trunk.pos_embed";

std::string model(const std::string& prefix = "") { return dict({{prefix + kTrunk, tensor()}}); }

/// Names of the tensors taken from a dictionary, and the notes about it.
std::vector<std::string> taken(const std::vector<std::pair<std::string, std::string>>& items,
                               std::vector<std::string>* notes = nullptr) {
  std::vector<std::string> names;
  const std::string pickle = pickle_dict(items);
  for (const auto& found : unpickle_state_dict(as_bytes(pickle), "data.pkl", notes)) {
    names.push_back(found.name);
  }
  return names;
}

TEST(Pickle, AStateDictIsFoundUnderAnyKey) {
  for (const char* key : {"model", "model_state_dict", "state_dict", "module", "net", "ema"}) {
    EXPECT_THAT(taken({{"epoch", "K\x03"}, {key, model()}}), ElementsAre(kTrunk)) << key;
  }
  EXPECT_THAT(taken({{"checkpoint", dict({{"model", dict({{"module", model()}})}})}}),
              ElementsAre(kTrunk));
}

TEST(Pickle, OfSeveralModelsTheTrainedOneIsTakenAndItIsSaid) {
  std::vector<std::string> notes;
  EXPECT_THAT(
      taken({{"ema", model("a.")}, {"state_dict", model("b.")}, {"model", model("c.")}}, &notes),
      ElementsAre("c." + kTrunk));
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_THAT(notes[0], AllOf(HasSubstr("data.pkl: holds several models; \"model\" is taken"),
                              HasSubstr("not \"ema\", \"state_dict\"")));
  notes.clear();
  EXPECT_THAT(taken({{"model_ema", model("a.")}, {"weights", model("b.")}}, &notes),
              ElementsAre("b." + kTrunk));
  EXPECT_THAT(notes.at(0), HasSubstr("\"weights\" is taken, not \"model_ema\""));
}

TEST(Pickle, AnOptimizersStateIsNotAModel) {
  const std::string state = dict({{"exp_avg", tensor()}, {"step", tensor()}});
  const std::string optimizer = dict({{"state", "}K\x00"s + state + "s"}, {"param_groups", "]"}});
  const auto error = [](const std::vector<std::pair<std::string, std::string>>& items) {
    return error_of([&] { static_cast<void>(taken(items)); });
  };
  EXPECT_THAT(error({{"optimizer", optimizer}, {"epoch", "K\x01"}}),
              HasSubstr("holds the state of an optimizer and no model"));
  EXPECT_THAT(error({{"state", dict({{"layer.weight", state}})}, {"param_groups", "]"}}),
              HasSubstr("holds the state of an optimizer and no model"));
  std::vector<std::string> notes;
  EXPECT_THAT(taken({{"optimizer", optimizer}, {"model", model()}}, &notes), ElementsAre(kTrunk));
  EXPECT_TRUE(notes.empty());
}

TEST(Pickle, SettingsAndMetricsBesideTheModelAreSkipped) {
  const std::string text = "X"s + little(1, 4) + "k";
  const std::string settings =
      "cargparse\nNamespace\n)\x81}" + text + "K\x01sb";  // NEWOBJ, state, BUILD
  const std::string number = "cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(" + text +
                             "\x89\x88tR" + "C\x02" + "ab" + "tR";
  const std::string counts = "ccollections\ndefaultdict\n(c__builtin__\nint\ntR" + text + "K\x02s";
  EXPECT_THAT(taken({{"args", settings},
                     {"best", number},
                     {"counts", counts},
                     {"seen", "\x8f(K\x01\x90"s},
                     {"random", "\x8b"s + little(12, 4) + std::string(12, 'x')},
                     {"loss", "G"s + std::string(8, '\0')},
                     {"schedule", "](NNe"},
                     {"model", model()}}),
              ElementsAre(kTrunk));
}

TEST(Pickle, ATensorWithAttributesIsRead) {
  const std::string inner = "ctorch._utils\n_rebuild_tensor_v2\n";
  const std::string whole = tensor();
  const std::string arguments = whole.substr(inner.size(), whole.size() - inner.size() - 1);
  const std::string pickle =
      pickle_dict({{"a", "ctorch._tensor\n_rebuild_from_type_v2\n(" + inner +
                             "ctorch.nn.parameter\nParameter\n" + arguments + "}tR"}});
  EXPECT_EQ(load(pickle).size(), 1U);
  EXPECT_THAT(pickle_error(kProto2 + "ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00NNNtR."s),
              HasSubstr("calls itself"));
}

TEST(Pickle, InertClassesAreNeverMoreThanThat) {
  // An inert object in place of what matters.
  EXPECT_THAT(pickle_error(kProto2 + "cargparse\nNamespace\n)R."),
              HasSubstr("expected a dictionary of tensors"));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch._utils\n_rebuild_tensor_v2\n(cnumpy\ndtype\n)R" +
                           std::string(5, 'N') + "tR."),
              HasSubstr("expected a storage"));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch\nFloatStorage\n)\x81."), HasSubstr("cannot be made"));
}

TEST(Pickle, TensorsWithoutATypeAreRefused) {
  const std::string untyped = "ctorch._utils\n_rebuild_tensor_v2\n((" + pickle_text("storage") +
                              "ctorch.storage\nUntypedStorage\n" + pickle_text("0") +
                              pickle_text("cpu") + "K\x04tQK\x00"s + "))\x89}tR";
  EXPECT_THAT(pickle_error(pickle_dict({{"a", untyped}})), HasSubstr("storage has no type"));
}

}  // namespace
}  // namespace sam3trt
