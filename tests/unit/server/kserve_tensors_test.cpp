#include "server/kserve_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.hpp"

namespace sam3trt {
namespace {

template <typename Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

KserveTensor tensor(const std::string& datatype, const std::vector<int64_t>& shape) {
  return {"a", datatype, shape};
}

KserveTensor read(KserveTensor tensor, const std::string& data) {
  read_kserve_data(data, tensor);
  return tensor;
}

std::string refusal(const KserveTensor& tensor, const std::string& data) {
  try {
    read(tensor, data);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

TEST(KserveData, WhatIsWrittenIsRead) {
  KserveTensor texts = tensor("BYTES", {2});
  texts.texts = {"dog", std::string("\0\n", 2)};
  EXPECT_EQ(read(tensor("BYTES", {2}), kserve_data_of(texts)).texts, texts.texts);
  KserveTensor numbers = tensor("FP32", {1, 2});
  numbers.numbers = {0.5, -3};
  EXPECT_EQ(read(tensor("FP32", {1, 2}), kserve_data_of(numbers)).numbers, numbers.numbers);
  EXPECT_EQ(read(tensor("INT32", {0}), "").numbers.size(), 0U);
}

TEST(KserveData, NumbersHaveTheSizeOfTheirType) {
  KserveTensor numbers = tensor("INT64", {2});
  numbers.numbers = {1, -2};
  EXPECT_EQ(kserve_data_of(numbers), bytes_of<int64_t>({1, -2}));
  numbers.datatype = "BOOL";
  numbers.numbers = {1, 0};
  EXPECT_EQ(kserve_data_of(numbers), std::string("\1\0", 2));
}

TEST(KserveData, DataThatDoesNotFitItsShapeIsRefused) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal(tensor("BYTES", {1}), "abc"), HasSubstr("cut off"));
  EXPECT_THAT(refusal(tensor("BYTES", {1}), bytes_of<uint32_t>({4'000'000'000})),
              HasSubstr("cut off"));
  EXPECT_THAT(refusal(tensor("FP32", {2}), bytes_of<float>({1})), HasSubstr("2 elements"));
  EXPECT_THAT(refusal(tensor("FP32", {1}), "abcde"), HasSubstr("cut off"));
  EXPECT_THAT(refusal(tensor("INT32", {-1}), ""), HasSubstr("input \"a\""));
  const int64_t most = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(refusal(tensor("INT32", {most, most}), ""), HasSubstr("elements"));
  EXPECT_THAT(refusal(tensor("FP32", {1}), bytes_of<float>({NAN})), HasSubstr("not finite"));
}

}  // namespace
}  // namespace sam3trt
