#include "checkpoint/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include "checkpoint/stored_tensor.hpp"
#include "file_builders.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace testing_files;

std::string parse_error(const std::string& file) {
  return error_of([&] { static_cast<void>(parse_safetensors(as_bytes(file), "m.safetensors")); });
}

/// A file with one entry "a" whose description is `entry`.
std::string with_entry(const std::string& entry, size_t data_size) {
  return safetensors_with_header("{\"a\":" + entry + "}", std::string(data_size, 'x'));
}

TEST(Safetensors, ReadsTypesShapesAndBytes) {
  const std::string file = build_safetensors({{"b", "F32", {2, 1}, "01234567"},
                                              {"a", "BF16", {3}, "abcdef"},
                                              {"c", "F16", {}, "gh"},
                                              {"e", "I64", {0, 4}, ""}});
  const auto tensors = parse_safetensors(as_bytes(file), "m.safetensors");
  ASSERT_EQ(tensors.size(), 4U);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].shape, (Shape{2, 1}));
  EXPECT_EQ(tensors[0].dtype, DType::kF32);
  EXPECT_EQ(tensors[1].name, "a");
  EXPECT_EQ(tensors[1].dtype, DType::kBF16);
  EXPECT_EQ(static_cast<char>(tensors[1].bytes[5]), 'f');
  EXPECT_EQ(tensors[1].element_bytes, 6U);
  EXPECT_EQ(std::ranges::find(tensors, "c", &StoredTensor::name)->shape, Shape{});
  EXPECT_EQ(std::ranges::find(tensors, "e", &StoredTensor::name)->element_bytes, 0U);
}

TEST(Safetensors, ATypeWithoutANameHereKeepsItsSpelling) {
  const std::string file = build_safetensors({{"a", "F8_E4M3", {2}, "01"}});
  const auto tensors = parse_safetensors(as_bytes(file), "m.safetensors");
  EXPECT_FALSE(tensors.at(0).dtype.has_value());
  EXPECT_EQ(tensors.at(0).dtype_name, "F8_E4M3");
}

TEST(Safetensors, EveryCutFileIsRefused) {
  const std::string file = build_safetensors({{"a", "F32", {2}, "01234567"}});
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THAT(parse_error(file.substr(0, size)), StartsWith("m.safetensors: ")) << size;
  }
  EXPECT_EQ(parse_error(file), "no error");
}

TEST(Safetensors, AHeaderLongerThanTheFileIsRefused) {
  EXPECT_THAT(parse_error(little(100, 8) + "{}"),
              HasSubstr("its header has 100 bytes, the file 10"));
  EXPECT_THAT(parse_error(little(UINT64_MAX, 8) + "{}"),
              HasSubstr("its header would have 18446744073709551615 bytes"));
}

TEST(Safetensors, AHeaderMustBeAnObjectOfObjects) {
  EXPECT_THAT(parse_error(safetensors_with_header("[]", "")), HasSubstr("is not a JSON object"));
  EXPECT_THAT(parse_error(safetensors_with_header("{\"a\":1}", "")),
              HasSubstr("tensor \"a\": is not described by a JSON object"));
  EXPECT_THAT(parse_error(safetensors_with_header("{\"a\":", "")), HasSubstr("not valid JSON"));
}

TEST(Safetensors, DuplicateNamesAreRefused) {
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_THAT(parse_error(safetensors_with_header("{\"a\":" + entry + ",\"a\":" + entry + "}", "")),
              HasSubstr("the key \"a\" appears twice"));
}

TEST(Safetensors, InvalidUtf8IsRefused) {
  EXPECT_THAT(parse_error(safetensors_with_header("{\"\xff\xfe\":{}}", "")),
              HasSubstr("not valid JSON"));
}

TEST(Safetensors, NamesOfControlCharactersAreRefused) {
  EXPECT_THAT(parse_error(safetensors_with_header(R"({"a\n\u001b[31m":{}})", "")),
              HasSubstr("tensor \"a??[31m\": is not a usable name"));
}

TEST(Safetensors, ShapesThatDoNotFitTheirBytesAreRefused) {
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", 8)),
              HasSubstr("has dtype F32 and shape [3], which is not what its data_offsets [0, 8]"));
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F16","shape":[2],"data_offsets":[0,8]})", 8)),
              HasSubstr("has dtype F16 and shape [2]"));
}

TEST(Safetensors, ImpossibleShapesAreRefused) {
  const auto entry = [](const std::string& shape) {
    return with_entry(R"({"dtype":"F32","data_offsets":[0,8],"shape":)" + shape + "}", 8);
  };
  EXPECT_THAT(parse_error(entry("[9223372036854775808]")), HasSubstr("impossible dimension"));
  EXPECT_THAT(parse_error(entry("[-1]")), HasSubstr("impossible dimension -1"));
  EXPECT_THAT(parse_error(entry("[1.5]")), HasSubstr("impossible dimension 1.5"));
  // 2^62 * 4 elements overflow; 2^62 + 2 elements of 4 bytes would wrap round to 8 bytes.
  EXPECT_THAT(parse_error(entry("[4611686018427387904,4]")), HasSubstr("is not what its data"));
  EXPECT_THAT(parse_error(entry("[4611686018427387906]")), HasSubstr("is not what its data"));
  EXPECT_THAT(parse_error(entry("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]")),
              HasSubstr("16 dimensions"));
  EXPECT_THAT(parse_error(entry("2")), HasSubstr("needs a \"shape\""));
}

TEST(Safetensors, OffsetsOutsideTheDataAreRefused) {
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7)),
              HasSubstr("ends at byte 8 of the data, which has only 7"));
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", 8)),
              HasSubstr("is not what its data_offsets [8, 0] hold"));
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})", 8)),
              HasSubstr("needs \"data_offsets\""));
  EXPECT_THAT(
      parse_error(with_entry(
          R"({"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551616]})",
          8)),
      HasSubstr("needs \"data_offsets\""));
}

TEST(Safetensors, OverlapsHolesAndRestsAreRefused) {
  const auto file = [](const std::string& a, const std::string& b, size_t size) {
    return safetensors_with_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                                       R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b +
                                       "}}",
                                   std::string(size, 'x'));
  };
  EXPECT_EQ(parse_error(file("[4,8]", "[0,4]", 8)), "no error");
  EXPECT_THAT(parse_error(file("[0,4]", "[2,6]", 6)),
              HasSubstr("tensor \"b\": starts at byte 2 of the data, expected 4"));
  EXPECT_THAT(parse_error(file("[0,4]", "[5,9]", 9)), HasSubstr("expected 4"));
  EXPECT_THAT(parse_error(file("[0,4]", "[4,8]", 11)), HasSubstr("3 bytes after its last tensor"));
}

TEST(Safetensors, AnUnknownTypeIsRefusedByName) {
  EXPECT_THAT(parse_error(with_entry(R"({"dtype":"F7","shape":[1],"data_offsets":[0,1]})", 1)),
              HasSubstr("tensor \"a\": has the unknown dtype F7"));
}

std::string index_error(const std::string& text) {
  return error_of([&] { static_cast<void>(parse_shard_index(as_bytes(text), "index.json")); });
}

TEST(ShardIndex, ListsEachFileOnce) {
  const std::string text = R"({"weight_map":{"b":"2.safetensors","a":"1.safetensors",
                              "c":"1.safetensors"}})";
  const ShardIndex index = parse_shard_index(as_bytes(text), "index.json");
  EXPECT_EQ(index.files, (std::vector<std::string>{"1.safetensors", "2.safetensors"}));
  EXPECT_EQ(index.tensors.size(), 3U);
}

TEST(ShardIndex, PathsAreRefused) {
  for (const std::string path :
       {"../x.safetensors", "/etc/passwd", "a/b", "a\\\\b", "..", ".", ""}) {
    EXPECT_THAT(index_error(R"({"weight_map":{"a":")" + path + "\"}}"),
                HasSubstr("expected the plain name of a file in the same folder"))
        << path;
  }
}

TEST(ShardIndex, OtherJsonIsRefused) {
  EXPECT_THAT(index_error("[]"), HasSubstr("has no \"weight_map\""));
  EXPECT_THAT(index_error("{\"weight_map\":[]}"), HasSubstr("has no \"weight_map\""));
  EXPECT_THAT(index_error("{\"weight_map\":{}}"), HasSubstr("has no \"weight_map\""));
  EXPECT_THAT(index_error("{\"weight_map\":{\"a\":3}}"), HasSubstr("tensor \"a\": names no file"));
  EXPECT_THAT(index_error(std::string(70, '[') + std::string(70, ']')),
              HasSubstr("nested deeper than 64 levels"));
}

}  // namespace
}  // namespace sam3trt
