#include "jobs/result_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

class ResultLinesTest : public testing::Test {
 protected:
  ResultLinesTest() { fs::create_directories(folder_); }
  ~ResultLinesTest() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  void put(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  /// An image file, or what is listed as one, in the folder.
  [[nodiscard]] ListedImage image(const std::string& name, bool there = true) const {
    const fs::path path = folder_ / name;
    if (there) std::ofstream(path) << name;
    return {path.string(), name, {}, 0};
  }

  fs::path folder_ =
      fs::temp_directory_path() / ("result_lines_test." + std::to_string(::getpid()));
  fs::path path_ = folder_ / "r.jsonl";
};

std::vector<std::string> all_of(const ResultLines& lines) {
  std::vector<std::string> all;
  lines.each([&](const std::string& line) { all.push_back(line); });
  return all;
}

/// The line of an image that could not be read: it has no stamp.
std::string failed_line(const ListedImage& image) {
  ImageResult result;
  result.path = image.path;
  result.error = "broken";
  return to_json_line({"openvino", Semantics::kHf, {}}, result, std::nullopt);
}

TEST_F(ResultLinesTest, IsMadeWithItsFirstLine) {
  ResultLines lines(path_);
  EXPECT_FALSE(fs::exists(path_));
  lines.add("{\"a\":1}\n");
  lines.add("{\"b\":2}\n");
  EXPECT_EQ(content(), "{\"a\":1}\n{\"b\":2}\n");
  EXPECT_THAT(all_of(lines), testing::ElementsAre("{\"a\":1}", "{\"b\":2}"));
}

TEST_F(ResultLinesTest, CutsOffHalfALine) {
  put("one\ntwo\nthr");
  ResultLines lines(path_);
  EXPECT_THAT(all_of(lines), testing::ElementsAre("one", "two"));
  lines.add("three\n");
  EXPECT_EQ(content(), "one\ntwo\nthree\n");
}

TEST_F(ResultLinesTest, WithoutANameLeavesNothing) {
  ResultLines lines{fs::path()};
  lines.add("one\n");
  EXPECT_THAT(all_of(lines), testing::ElementsAre("one"));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ResultLinesTest, KnowsWhichImagesAreDone) {
  const std::vector<ListedImage> images = {image("a", false), image("b", false), image("c", false)};
  put(failed_line(images[2]) + failed_line(images[0]));
  const EarlierResults earlier = take_up_results(path_, images, failed_line(images[1]));
  EXPECT_THAT(earlier.done, testing::ElementsAre(true, false, true));
  EXPECT_EQ(earlier.lines, 2U);
}

TEST_F(ResultLinesTest, AnImageThatIsGivenTwiceNeedsTwoLines) {
  const ListedImage twice = image("a", false);
  const std::vector<ListedImage> images = {twice, image("b", false), twice};
  put(failed_line(twice));
  EXPECT_THAT(take_up_results(path_, images, failed_line(twice)).done,
              testing::ElementsAre(true, false, false));
  put(failed_line(twice) + failed_line(twice));
  EXPECT_THAT(take_up_results(path_, images, failed_line(twice)).done,
              testing::ElementsAre(true, false, true));
}

TEST_F(ResultLinesTest, LinesOfChangedImagesGoAndLinesOfOthersStay) {
  const ListedImage missing = image("a", false);
  const ListedImage other = image("other", false);
  put(failed_line(missing) + failed_line(other) + "{\"half");
  const std::vector<ListedImage> images = {image("a")};  // is there now
  EXPECT_THAT(take_up_results(path_, images, failed_line(missing)).done,
              testing::ElementsAre(false));
  EXPECT_EQ(content(), failed_line(other));
}

TEST_F(ResultLinesTest, PathsThatAreNotUtf8AreKnownAgain) {
  const std::vector<ListedImage> images = {image("\xff\xfe.png", false)};
  put(failed_line(images[0]));
  EXPECT_THAT(take_up_results(path_, images, failed_line(images[0])).done,
              testing::ElementsAre(true));
}

TEST_F(ResultLinesTest, RefusesLinesOfAnotherModel) {
  const std::vector<ListedImage> images = {image("a", false)};
  ImageResult result;
  result.path = images[0].path;
  result.error = "broken";
  put(to_json_line({"openvino", Semantics::kMeta, {}}, result, std::nullopt));
  const std::string before = content();
  EXPECT_THROW(take_up_results(path_, images, failed_line(images[0])), Error);
  EXPECT_EQ(content(), before);
}

TEST_F(ResultLinesTest, RefusesWhatIsNotAResult) {
  const std::vector<ListedImage> images = {image("a", false)};
  for (const char* text : {"\n", "{}\n", "[]\n", "{\"path\":1,\"version\":1,\"error\":\"\"}\n",
                           "{\"path\":\"a\",\"error\":\"\"}\n", "\xff\n",
                           R"({"path":"a","version":2,"error":""})"
                           "\n",
                           R"({"path":"a","version":1,"prompts":"","width":1,"height":1})"
                           "\n",
                           R"({"path":"a","version":1,"prompts":[],"height":1})"
                           "\n",
                           R"({"path":"a","version":1,"prompts":[{"instances":[{"box":[1]}]}],)"
                           R"("width":1,"height":1})"
                           "\n"}) {
    put(text);
    EXPECT_THROW(take_up_results(path_, images, failed_line(images[0])), Error) << text;
    EXPECT_EQ(content(), text);
  }
}

TEST_F(ResultLinesTest, NoEarlierFileMeansNothingIsDone) {
  const std::vector<ListedImage> images = {image("a")};
  EXPECT_THAT(take_up_results(path_, images, failed_line(images[0])).done,
              testing::ElementsAre(false));
  EXPECT_FALSE(has_result_lines(path_));
  put("half");
  EXPECT_FALSE(has_result_lines(path_));
  put("whole\n");
  EXPECT_TRUE(has_result_lines(path_));
}

}  // namespace
}  // namespace sam3trt
