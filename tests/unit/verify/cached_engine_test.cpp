#include "verify/cached_engine.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "doubling_engine.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

class CachedEngineTest : public testing::Test {
 protected:
  CachedEngineTest() : folder_(fs::path(testing::TempDir()) / "sam3trt_cached_engine_test") {
    fs::remove_all(folder_);
  }
  ~CachedEngineTest() override { fs::remove_all(folder_); }

  /// 2x by an engine of its own, as another process would have it.
  std::map<std::string, Tensor> doubled(float x, const std::string& identity = "graph",
                                        uint64_t largest_bytes = 1 << 20) {
    CachedEngine::Source source;
    source.identity = [identity] { return identity; };
    source.load = [this] {
      ++loads_;
      return std::make_unique<Doubling>(calls_);
    };
    CachedEngine engine(std::move(source), folder_, largest_bytes);
    const Tensor tensor = Tensor::from_f32({2}, std::array{x, 1.0F});
    return engine.run({{"x", &tensor}});
  }

  [[nodiscard]] std::vector<fs::path> files() const {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder_)) paths.push_back(entry.path());
    return paths;
  }

  fs::path folder_;
  int loads_ = 0;
  int calls_ = 0;
};

TEST_F(CachedEngineTest, TheSameCallRunsOnceAndLoadsNothingTheSecondTime) {
  const auto first = doubled(3);
  const auto second = doubled(3);
  EXPECT_EQ(loads_, 1);
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(second.at("y").f32()[0], 6);
  EXPECT_EQ(second.at("n").i64()[0], 7);
  EXPECT_EQ(second.at("y").shape(), first.at("y").shape());
}

TEST_F(CachedEngineTest, OtherInputsAndOtherGraphsAreOtherCalls) {
  (void)doubled(3);
  EXPECT_EQ(doubled(4).at("y").f32()[0], 8);
  (void)doubled(3, "another graph");
  EXPECT_EQ(calls_, 3);
}

TEST_F(CachedEngineTest, ADamagedFileIsComputedAgain) {
  (void)doubled(3);
  ASSERT_EQ(files().size(), 1U);
  const fs::path path = files()[0];
  const auto size = static_cast<std::streamoff>(fs::file_size(path));
  for (const std::streamoff at : {std::streamoff{0}, std::streamoff{25}, size - 1}) {
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(at);
      file.put('\x7f');
    }
    const int before = calls_;
    EXPECT_EQ(doubled(3).at("y").f32()[0], 6);
    EXPECT_EQ(calls_, before + 1) << at;
  }
  fs::resize_file(path, 10);
  EXPECT_EQ(doubled(3).at("y").f32()[0], 6);
}

TEST_F(CachedEngineTest, AFolderThatCannotBeWrittenCostsTimeOnly) {
  std::ofstream(folder_) << "a file, not a folder";
  EXPECT_EQ(doubled(3).at("y").f32()[0], 6);
  EXPECT_EQ(doubled(3).at("y").f32()[0], 6);
  EXPECT_EQ(calls_, 2);
}

TEST_F(CachedEngineTest, TheOldestFilesGoWhenThereAreTooMany) {
  (void)doubled(1);
  const uint64_t bytes = fs::file_size(files()[0]);
  const fs::path oldest = files()[0];
  fs::last_write_time(oldest, fs::last_write_time(oldest) - std::chrono::hours(1));
  (void)doubled(2, "graph", 2 * bytes);
  EXPECT_EQ(files().size(), 2U);
  (void)doubled(3, "graph", 2 * bytes);
  EXPECT_EQ(files().size(), 2U);
  EXPECT_FALSE(fs::exists(oldest));
}

}  // namespace
}  // namespace sam3trt
