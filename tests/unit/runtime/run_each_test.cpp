#include "runtime/run_each.hpp"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Images of which some fail: alone, and with them all that run together.
class RunEach : public testing::Test {
 protected:
  RunEach() : images_(5) {
    for (size_t i = 0; i < images_.size(); ++i) {
      images_[i].width = static_cast<int64_t>(i);
      requests_.push_back({view_of(images_[i]), {}});
    }
  }

  std::vector<ImageResult> run(const std::function<void(int64_t)>& check) {
    return run_each(requests_, [&](std::span<const ImageRequest> requests) {
      sizes_.push_back(requests.size());
      std::vector<ImageResult> results;
      for (const ImageRequest& request : requests) {
        check(request.image.width);
        results.emplace_back().width = request.image.width;
      }
      return results;
    });
  }

  std::vector<Image> images_;
  std::vector<ImageRequest> requests_;
  std::vector<size_t> sizes_;
};

TEST_F(RunEach, RunsTogetherWhatDoesNotFail) {
  EXPECT_EQ(run([](int64_t) {}).size(), 5U);
  EXPECT_EQ(sizes_, std::vector<size_t>{5});
}

TEST_F(RunEach, OneFailureIsTheErrorOfItsImageAlone) {
  const auto results = run([](int64_t image) {
    if (image == 1) throw Error(ErrorCode::kInternal, "not finite");
    if (image == 3) throw Error(ErrorCode::kBadInput, "box outside");
  });
  ASSERT_EQ(results.size(), 5U);
  for (const size_t i : {size_t{0}, size_t{2}, size_t{4}}) {
    EXPECT_FALSE(results[i].error);
    EXPECT_EQ(results[i].width, static_cast<int64_t>(i));
  }
  EXPECT_EQ(results[1].error, "not finite");
  EXPECT_EQ(results[1].error_code, ErrorCode::kInternal);
  EXPECT_EQ(results[3].error, "box outside");
  EXPECT_EQ(results[3].error_code, ErrorCode::kBadInput);
  EXPECT_EQ(sizes_, (std::vector<size_t>{5, 1, 1, 1, 1, 1}));
}

TEST_F(RunEach, OtherExceptionsAreErrorsToo) {
  const auto results = run([](int64_t image) {
    if (image == 0) throw std::bad_alloc();
    if (image == 1) throw std::runtime_error("driver");
  });
  EXPECT_EQ(results[0].error, "out of memory");
  EXPECT_EQ(results[1].error, "driver");
  EXPECT_EQ(results[1].error_code, ErrorCode::kInternal);
  EXPECT_FALSE(results[2].error);
}

TEST_F(RunEach, NothingToRunGivesNothing) {
  requests_.clear();
  EXPECT_TRUE(run([](int64_t) {}).empty());
  EXPECT_TRUE(sizes_.empty());
}

}  // namespace
}  // namespace sam3trt
