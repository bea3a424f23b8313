#include "checkpoint/pickle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "file_builders.hpp"

namespace sam3trt {
namespace {

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
  EXPECT_THAT(pickle_error(kProto2 + "cnumpy.core.multiarray\n_reconstruct\n."),
              HasSubstr("numpy.core.multiarray._reconstruct"));
  EXPECT_THAT(pickle_error("\x80\x04\x8c\x08"
                           "builtins\x8c\x04"
                           "eval\x93."s),
              HasSubstr("builtins.eval"));
  EXPECT_THAT(pickle_error(kProto2 + "ctorch\nFloatStorage2\n."), HasSubstr("torch.FloatStorage2"));
  EXPECT_THAT(pickle_error(kProto2 + "ca\x1b[31m\nb\n."), HasSubstr("names a?[31m.b"));
}

TEST(Pickle, OtherOpcodesAreRefused) {
  // INST, OBJ, NEWOBJ, EXT1 and the text opcodes of protocol 0.
  for (const std::string code : {"iposix\nsystem\n", "o", "\x81", "\x82\x01", "I1\n", "S'a'\n"}) {
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
  EXPECT_THAT(pickle_error(self), HasSubstr("the entry \"model\" of the state dict is no tensor"));
  const std::string list = kProto2 + "}"s + pickle_text("a") +
                           "]q\x01h\x01"
                           "as."s;
  EXPECT_THAT(pickle_error(list), HasSubstr("the entry \"a\" of the state dict is no tensor"));
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
  EXPECT_THAT(pickle_error(kProto2 + "}K\x01" + tensor() + "s."), HasSubstr("no tensor name"));
  EXPECT_THAT(pickle_error(pickle_dict({{"a\n", tensor()}})), HasSubstr("no tensor name"));
  EXPECT_THAT(pickle_error(pickle_dict({{"a", tensor()}, {"a", tensor()}})),
              HasSubstr("tensor \"a\" stands there twice"));
  EXPECT_THAT(pickle_error(pickle_dict({{"epoch", "K\x01"}})),
              HasSubstr("the entry \"epoch\" of the state dict is no tensor"));
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

TEST(Pickle, TensorsWithoutATypeAreRefused) {
  const std::string untyped = "ctorch._utils\n_rebuild_tensor_v2\n((" + pickle_text("storage") +
                              "ctorch.storage\nUntypedStorage\n" + pickle_text("0") +
                              pickle_text("cpu") + "K\x04tQK\x00"s + "))\x89}tR";
  EXPECT_THAT(pickle_error(pickle_dict({{"a", untyped}})), HasSubstr("storage has no type"));
}

}  // namespace
}  // namespace sam3trt
