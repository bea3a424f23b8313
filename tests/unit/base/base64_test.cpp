#include "base/base64.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

TEST(Base64, DecodesPaddingWhiteSpaceAndDataUrls) {
  EXPECT_EQ(decode_base64("", "x"), "");
  EXPECT_EQ(decode_base64("Zg==", "x"), "f");
  EXPECT_EQ(decode_base64("Zm8=", "x"), "fo");
  EXPECT_EQ(decode_base64("Zm9v\nYmFy\r\n", "x"), "foobar");
  EXPECT_EQ(decode_base64("data:image/png;base64,AP+A", "x"), std::string("\0\xff\x80", 3));
}

TEST(Base64, DecodesWhatIsLongerThanOnePiece) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 700'000; ++i) {
    text += "QUJD";
    expected += "ABC";
  }
  EXPECT_EQ(decode_base64(text, "x"), expected);
}

TEST(Base64, AnythingElseIsRefused) {
  for (const char* text : {"Zg", "Zg=", "Zm9v!", "Zm9v-_", "Zg==Zm9v",
                           "====", "Z===", "data:image/png,AP+A", "data:image/png;base64"}) {
    EXPECT_THROW((void)decode_base64(text, "x"), Error) << text;
  }
}

}  // namespace
}  // namespace sam3trt
