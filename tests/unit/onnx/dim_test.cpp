#include "onnx/dim.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace sam3trt {
namespace {

TEST(Dim, PrintsFactorsAndOffsets) {
  EXPECT_EQ(Dim(72).to_string(), "72");
  EXPECT_EQ(Dim("B").to_string(), "B");
  EXPECT_EQ(Dim("B").times(9).to_string(), "9*B");
  EXPECT_EQ(Dim("K").plus(1).plus(32).to_string(), "K + 33");
}

TEST(Dim, DivisionUndoesMultiplicationAndRefusesRemainders) {
  EXPECT_EQ(Dim("B").times(9).divided_by(9), Dim("B"));
  EXPECT_THROW((void)Dim("B").times(9).divided_by(2), Error);
  EXPECT_THROW((void)Dim(10).divided_by(3), Error);
  EXPECT_THROW((void)Dim(10).divided_by(0), Error);
}

TEST(Dim, TwoSymbolsAddToASymbolOfTheirOwn) {
  const Dim sum = Dim("F").times(9).plus(Dim("W"));
  EXPECT_EQ(sum.to_string(), "(9*F + W)");
  EXPECT_EQ(sum, Dim("F").times(9).plus(Dim("W")));
  EXPECT_NE(sum, Dim("W").plus(Dim("F").times(9)));
}

TEST(Dim, BroadcastFollowsNumpy) {
  EXPECT_EQ(broadcast({"P", 1, 5}, {7, 1}, "x"), (SymbolicShape{"P", 7, 5}));
  EXPECT_EQ(broadcast({1, 4}, {"B", 3, 1}, "x"), (SymbolicShape{"B", 3, 4}));
  EXPECT_EQ(broadcast({}, {2}, "x"), (SymbolicShape{2}));
}

TEST(Dim, BroadcastRefusesDifferentSizes) {
  EXPECT_THROW((void)broadcast({"B", 4}, {"P", 4}, "x"), Error);
  EXPECT_THROW((void)broadcast({3}, {4}, "x"), Error);
}

}  // namespace
}  // namespace sam3trt
