#include "checkpoint/torch_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "file_builders.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace testing_files;

std::string parse_error(const std::string& file) {
  return error_of([&] { static_cast<void>(parse_torch_file(as_bytes(file), "sam3.pt")); });
}

/// An archive of one storage "0" of `bytes` and the given pickle.
std::string archive(const std::string& pickle, const std::string& bytes) {
  return ZipBuilder()
      .add("m/data.pkl", pickle)
      .add("m/data/0", bytes)
      .add("m/version", "3\n")
      .build();
}

std::string one_tensor(int64_t offset, const Shape& shape, const std::vector<int64_t>& strides) {
  return pickle_dict(
      {{"a", pickle_tensor(pickle_storage("FloatStorage", "0", 6), offset, shape, strides)}});
}

std::string tensor_error(int64_t offset, const Shape& shape, const std::vector<int64_t>& strides) {
  return parse_error(archive(one_tensor(offset, shape, strides), std::string(24, 'x')));
}

std::string floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(TorchFile, ReadsTypesShapesAndBytes) {
  const std::string file = build_torch_zip({{"a", "Float", {2, 1}, "01234567"},
                                            {"b", "BFloat16", {3}, "abcdef"},
                                            {"c", "Half", {}, "gh"},
                                            {"d", "ComplexFloat", {1, 1}, "ijklmnop"},
                                            {"e", "Long", {0, 4}, ""}});
  const auto tensors = parse_torch_file(as_bytes(file), "sam3.pt");
  ASSERT_EQ(tensors.size(), 5U);
  EXPECT_EQ(tensors[0].dtype, DType::kF32);
  EXPECT_EQ(tensors[0].shape, (Shape{2, 1}));
  EXPECT_EQ(static_cast<char>(tensors[0].bytes[7]), '7');
  EXPECT_EQ(tensors[1].dtype, DType::kBF16);
  EXPECT_EQ(tensors[2].dtype, DType::kF16);
  EXPECT_EQ(tensors[2].element_bytes, 2U);
  EXPECT_EQ(tensors[3].dtype, DType::kC64);
  EXPECT_EQ(tensors[4].element_bytes, 0U);
}

TEST(TorchFile, ReadsWhatTorchSaveWrote) {
  // torch 2.15: w = torch.arange(6.).reshape(2, 3); torch.save({"w": torch.nn.Parameter(w),
  // "turned": w.t(), "h": torch.tensor([1.0, -2.5], dtype=torch.bfloat16),
  // "c": torch.tensor([1 + 2j])}, "torch_save.pt")
  const std::string file = read_file(SAM3TRT_TEST_DATA "/checkpoint/torch_save.pt");
  const auto tensors = parse_torch_file(as_bytes(file), "torch_save.pt");
  ASSERT_EQ(tensors.size(), 4U);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].shape, (Shape{2, 3}));
  const std::string values = floats({0, 1, 2, 3, 4, 5});
  EXPECT_TRUE(std::ranges::equal(tensors[0].bytes, as_bytes(values)));
  EXPECT_EQ(tensors[1].bytes.data(), tensors[0].bytes.data()) << "the storage is shared";
  EXPECT_EQ(tensors[1].strides, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(tensors[2].dtype, DType::kBF16);
  const std::string halves = little(0x3F80, 2) + little(0xC020, 2);
  EXPECT_TRUE(std::ranges::equal(tensors[2].bytes, as_bytes(halves)));
  EXPECT_EQ(tensors[3].dtype, DType::kC64);
}

TEST(TorchFile, AStateDictMayStandUnderModel) {
  const std::string tensor = pickle_tensor(pickle_storage("FloatStorage", "0", 1), 0, {1}, {1});
  const std::string pickle = std::string("\x80\x02", 2) + "}(" + pickle_text("epoch") +
                             pickle_integer(3) + pickle_text("model") + "}" + pickle_text("a") +
                             tensor + "su.";
  const std::string file = archive(pickle, "0123");
  const auto tensors = parse_torch_file(as_bytes(file), "sam3.pt");
  ASSERT_EQ(tensors.size(), 1U);
  EXPECT_EQ(tensors[0].name, "a");
}

TEST(TorchFile, SharedStoragesOffsetsAndStridesAreRead) {
  const std::string storage = pickle_storage("FloatStorage", "0", 6);
  const std::string pickle = pickle_dict({{"row", pickle_tensor(storage, 3, {3}, {1})},
                                          {"column", pickle_tensor(storage, 1, {2}, {3})},
                                          {"turned", pickle_tensor(storage, 0, {3, 2}, {1, 3})}});
  const std::string file = archive(pickle, floats({0, 1, 2, 3, 4, 5}));
  const auto tensors = parse_torch_file(as_bytes(file), "sam3.pt");
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_TRUE(tensors[0].strides.empty());
  const auto dense = [&](size_t i) {
    const auto bytes = make_dense(tensors[i], "sam3.pt");
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  };
  EXPECT_EQ(dense(1), (std::vector<float>{1, 4}));
  EXPECT_EQ(dense(2), (std::vector<float>{0, 3, 1, 4, 2, 5}));
}

TEST(TorchFile, AnExpandedTensorIsNotCopied) {
  // 2^40 elements in 24 bytes: listing it is fine, making it dense is not.
  const std::string file = archive(one_tensor(0, {int64_t{1} << 40}, {0}), std::string(24, 'x'));
  const auto tensors = parse_torch_file(as_bytes(file), "sam3.pt");
  EXPECT_THAT(error_of([&] { static_cast<void>(make_dense(tensors.at(0), "sam3.pt")); }),
              HasSubstr("tensor \"a\": is expanded to shape [1099511627776]"));
}

TEST(TorchFile, TensorsMustLieWithinTheirStorage) {
  EXPECT_EQ(tensor_error(0, {6}, {1}), "no error");
  EXPECT_EQ(tensor_error(5, {1}, {1}), "no error");
  EXPECT_THAT(
      tensor_error(0, {7}, {1}),
      HasSubstr("tensor \"a\": shape [7], strides [1] and offset 0 reach beyond its storage"));
  EXPECT_THAT(tensor_error(1, {6}, {1}), HasSubstr("reach beyond"));
  EXPECT_THAT(tensor_error(0, {2, 2}, {5, 1}), HasSubstr("reach beyond"));
  EXPECT_THAT(tensor_error(INT64_MAX, {1}, {1}), HasSubstr("reach beyond"));
  EXPECT_THAT(tensor_error(0, {2}, {INT64_MAX}), HasSubstr("reach beyond"));
  EXPECT_THAT(tensor_error(0, {3, 3}, {INT64_MAX, INT64_MAX}), HasSubstr("reach beyond"));
}

TEST(TorchFile, ImpossibleShapesAreRefused) {
  EXPECT_THAT(tensor_error(0, {INT64_MAX, 4}, {0, 0}), HasSubstr("impossible shape"));
  EXPECT_THAT(tensor_error(0, {INT64_MAX}, {0}), HasSubstr("impossible shape"));
  EXPECT_THAT(tensor_error(0, {INT64_MIN}, {1}), HasSubstr("negative number in a shape"));
  EXPECT_THAT(tensor_error(0, {-1}, {1}), HasSubstr("negative number in a shape: -1"));
  EXPECT_THAT(tensor_error(0, {1}, {-1}), HasSubstr("negative number in strides: -1"));
  EXPECT_THAT(tensor_error(-1, {1}, {1}), HasSubstr("negative storage offset"));
  EXPECT_THAT(tensor_error(0, {1, 1}, {1}), HasSubstr("2 dimensions and 1 strides"));
  EXPECT_THAT(tensor_error(0, Shape(17, 1), std::vector<int64_t>(17, 1)),
              HasSubstr("more than 16 dimensions"));
}

TEST(TorchFile, StoragesMustHaveTheSizeThePickleSays) {
  EXPECT_THAT(parse_error(archive(one_tensor(0, {1}, {1}), std::string(20, 'x'))),
              HasSubstr("tensor \"a\": its storage should have 24 bytes, found 20"));
  const auto with_storage = [](const std::string& storage) {
    return parse_error(archive(pickle_dict({{"a", pickle_tensor(storage, 0, {1}, {1})}}), "0123"));
  };
  EXPECT_EQ(with_storage(pickle_storage("FloatStorage", "0", 1)), "no error");
  EXPECT_THAT(with_storage(pickle_storage("FloatStorage", "1", 1)),
              HasSubstr("its storage \"1\" is not in the file"));
  EXPECT_THAT(with_storage(pickle_storage("FloatStorage", "../data.pkl", 1)),
              HasSubstr("its storage \"../data.pkl\" is not in the file"));
  EXPECT_THAT(with_storage(pickle_storage("FloatStorage", "0", -1)), HasSubstr("impossible size"));
  EXPECT_THAT(with_storage(pickle_storage("FloatStorage", "0", INT64_MAX)),
              HasSubstr("impossible size"));
}

TEST(TorchFile, OtherByteOrdersAreRefused) {
  const std::string file =
      ZipBuilder().add("m/data.pkl", pickle_dict({})).add("m/byteorder", "big").build();
  EXPECT_THAT(parse_error(file), HasSubstr("has byte order \"big\", expected \"little\""));
}

TEST(TorchFile, TheArchiveMustHoldOnePickle) {
  EXPECT_THAT(parse_error(ZipBuilder().add("m/x", "").build()),
              HasSubstr("is a zip file without data.pkl"));
  EXPECT_THAT(parse_error(ZipBuilder().add("m/data.pkl", "").add("n/data.pkl", "").build()),
              HasSubstr("more than one data.pkl"));
}

TEST(TorchFile, OtherArchivesAreNamed) {
  // TorchScript compresses its code.
  const std::string script = ZipBuilder()
                                 .add("m/data.pkl", "x")
                                 .add({"m/code/__torch__/sam3.py", "xx", 8})
                                 .add("m/constants.pkl", "x")
                                 .build();
  EXPECT_THAT(parse_error(script), HasSubstr("is a TorchScript archive (torch.jit.save)"));
  EXPECT_THAT(parse_error(ZipBuilder().add("m/archive_format", "pt2").build()),
              HasSubstr("is a program of torch.export"));
  EXPECT_THAT(parse_error(ZipBuilder().add({"a.npy", "xx", 8}).build()),
              HasSubstr("is a NumPy archive"));
  EXPECT_THAT(parse_error(ZipBuilder().add({"sam3/model.safetensors", "xx", 8}).build()),
              HasSubstr("is a zip file that holds sam3/model.safetensors; unpack it first"));
}

TEST(TorchFile, EveryCutFileIsRefused) {
  const std::string file = build_torch_zip({{"a", "Float", {2}, "01234567"}});
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(parse_error(file.substr(0, size)), StartsWith("sam3.pt: ")) << size;
  }
  EXPECT_EQ(parse_error(file), "no error");
}

TEST(TorchFile, DamagedBytesNeverCrash) {
  const std::string good = build_torch_zip({{"a", "Float", {2}, "01234567"}});
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string file = good;
      file[i] = static_cast<char>(file[i] ^ flip);
      const std::string message = parse_error(file);
      EXPECT_TRUE(message == "no error" || message.starts_with("sam3.pt: ")) << i << message;
    }
  }
}

}  // namespace
}  // namespace sam3trt
