#include "model/position.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace sam3trt {
namespace {

TEST(Position, WindowOrderListsWindowAfterWindow) {
  EXPECT_EQ(window_order(4, 2),
            (std::vector<int64_t>{0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15}));
}

TEST(Position, RotaryTablesTurnTheFirstHalfWithXAndTheSecondWithY) {
  // Token 5 of a 4x4 grid stands at x = 1, y = 1; token 2 at x = 2, y = 0.
  const RotaryTables tables = rotary_tables(4, 0.5, 8, 10000.0, {2, 5});
  ASSERT_EQ(tables.cos.size(), 8U);
  EXPECT_FLOAT_EQ(tables.cos[0], std::cos(1.0F));
  EXPECT_FLOAT_EQ(tables.sin[1], std::sin(0.01F));
  EXPECT_FLOAT_EQ(tables.sin[2], 0.0F);
  EXPECT_FLOAT_EQ(tables.sin[4], std::sin(0.5F));
  EXPECT_FLOAT_EQ(tables.sin[6], std::sin(0.5F));
}

TEST(Position, SineTokensStartAtOneAndPutYFirst) {
  const auto tokens = sine_position_tokens(3, 8);
  ASSERT_EQ(tokens.size(), 9U * 8U);
  const double unit = 2.0 * std::numbers::pi / (3.0 + 1e-6);
  const float* token = tokens.data() + 5 * 8;  // y = 1, x = 2
  EXPECT_FLOAT_EQ(token[0], static_cast<float>(std::sin(2 * unit)));
  EXPECT_FLOAT_EQ(token[1], static_cast<float>(std::cos(2 * unit)));
  EXPECT_FLOAT_EQ(token[2], static_cast<float>(std::sin(2 * unit / 100.0)));
  EXPECT_FLOAT_EQ(token[5], static_cast<float>(std::cos(3 * unit)));
}

TEST(Position, DeinterleavedColumnsTakeSinesThenCosinesOfEachCoordinate) {
  EXPECT_EQ(deinterleaved_columns(4, 2), (std::vector<int64_t>{0, 2, 1, 3, 4, 6, 5, 7}));
}

TEST(Position, SelectColumnsReordersEveryRow) {
  EXPECT_EQ(select_columns({1, 2, 3, 4}, 2, {1, 0}), (std::vector<float>{2, 1, 4, 3}));
}

}  // namespace
}  // namespace sam3trt
