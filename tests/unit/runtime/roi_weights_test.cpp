#include "runtime/roi_weights.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// The map that tools/reference/roi_goldens.py pools.
double feature(int64_t y, int64_t x) {
  return static_cast<double>((31 * y * y + 17 * x * x + 13 * x * y + 7 * x) % 23);
}

/// Wy * F * Wx^T.
std::vector<double> pool(const std::vector<float>& weights_y, const std::vector<float>& weights_x,
                         int64_t bins, int64_t cells) {
  std::vector<double> pooled;
  for (int64_t by = 0; by < bins; ++by) {
    for (int64_t bx = 0; bx < bins; ++bx) {
      double sum = 0;
      for (int64_t y = 0; y < cells; ++y) {
        for (int64_t x = 0; x < cells; ++x) {
          sum += static_cast<double>(weights_y[static_cast<size_t>(by * cells + y)]) *
                 static_cast<double>(weights_x[static_cast<size_t>(bx * cells + x)]) *
                 feature(y, x);
        }
      }
      pooled.push_back(sum);
    }
  }
  return pooled;
}

TEST(RoiWeights, PoolLikeTorchvision) {
  std::ifstream file(SAM3TRT_TEST_DATA "/runtime/roi_align.json");
  const auto cases = nlohmann::json::parse(file).at("cases");
  ASSERT_GE(cases.size(), 40U);
  for (const auto& entry : cases) {
    const auto bins = entry.at("bins").get<int64_t>();
    const auto cells = entry.at("cells").get<int64_t>();
    const auto box = entry.at("box").get<std::array<double, 4>>();
    // Not zero, to see that every element is written.
    std::vector<float> weights_y(static_cast<size_t>(bins * cells), 7.0F);
    std::vector<float> weights_x(weights_y);
    fill_roi_weights({static_cast<float>(box[0]), static_cast<float>(box[1]),
                      static_cast<float>(box[2]), static_cast<float>(box[3])},
                     bins, cells, weights_y, weights_x);
    const auto found = pool(weights_y, weights_x, bins, cells);
    const auto expected = entry.at("pooled").get<std::vector<double>>();
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      // Values reach 22; the largest error measured was 9.5e-6.
      EXPECT_NEAR(found[i], expected[i], 1e-4) << entry.at("name") << ", bin " << i;
    }
  }
}

TEST(RoiWeights, BinsInsideTheGridAverage) {
  std::vector<float> weights(3 * 10);
  fill_roi_weights(2.0F, 8.0F, 3, 10, weights);
  for (size_t bin = 0; bin < 3; ++bin) {
    EXPECT_NEAR(std::accumulate(&weights[bin * 10], &weights[bin * 10] + 10, 0.0F), 1.0F, 1e-6F);
  }
  // Bin 0 covers 2..4: samples at 2.5 and 3.5, each half of two cells.
  EXPECT_FLOAT_EQ(weights[2], 0.25F);
  EXPECT_FLOAT_EQ(weights[3], 0.5F);
  EXPECT_FLOAT_EQ(weights[4], 0.25F);
}

TEST(RoiWeights, SamplesMoreThanACellOutsideCountAsZero) {
  std::vector<float> weights(2 * 4);
  fill_roi_weights(-4.0F, 4.0F, 2, 4, weights);
  // Bin 0 covers -4..0 with samples at -3.5, -2.5, -1.5 (nothing) and -0.5 (clamped to cell 0).
  EXPECT_EQ(std::vector<float>(weights.begin(), weights.begin() + 4),
            (std::vector<float>{0.25F, 0, 0, 0}));
}

TEST(RoiWeights, RefusesBoxesThatWouldTakeForever) {
  std::vector<float> weights(2 * 4);
  EXPECT_THROW(fill_roi_weights(0.0F, 1e9F, 2, 4, weights), Error);
  EXPECT_THROW(fill_roi_weights(-std::numeric_limits<float>::infinity(), 1.0F, 2, 4, weights),
               Error);
  EXPECT_THROW(fill_roi_weights(std::numeric_limits<float>::quiet_NaN(), 1.0F, 2, 4, weights),
               Error);
}

}  // namespace
}  // namespace sam3trt
