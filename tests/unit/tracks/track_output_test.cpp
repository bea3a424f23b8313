#include "tracks/track_output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

#include "base/error.hpp"
#include "image/rle.hpp"
#include "tracks/coco_vis.hpp"
#include "tracks/label_map.hpp"
#include "tracks/line_index.hpp"
#include "tracks/mot_text.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kWidth = 6;
constexpr int64_t kHeight = 4;

/// An object that fills the pixels x0..x1, y0..y1, the last ones included.
TrackedObject object(int64_t id, std::array<int, 4> box, std::optional<std::string> prompt,
                     float object_score = 0.5F) {
  std::vector<uint8_t> mask(kWidth * kHeight);
  int64_t area = 0;
  for (int y = box[1]; y <= box[3]; ++y) {
    for (int x = box[0]; x <= box[2]; ++x) {
      mask[static_cast<size_t>(y * kWidth + x)] = 1;
      ++area;
    }
  }
  TrackedObject result;
  result.id = id;
  result.prompt = std::move(prompt);
  result.score = 0.75F;
  result.object_score = object_score;
  for (size_t i = 0; i < 4; ++i) result.box[i] = static_cast<float>(box[i]);
  result.area = area;
  result.counts = rle_counts(mask, kHeight, kWidth);
  return result;
}

class TrackOutputTest : public testing::Test {
 protected:
  TrackOutputTest() { fs::create_directories(folder_); }
  ~TrackOutputTest() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  static VideoInfo video() { return {"v.mp4", kWidth, kHeight, 3, 3, 3, 25.0}; }

  fs::path folder_ =
      fs::temp_directory_path() / ("track_output_test." + std::to_string(::getpid()));
  OutputCheck check_;
};

std::string name_of(int64_t frame) { return "f" + std::to_string(frame); }

/// Three frames, the last one first: a dog in 0 and 2, a clicked object in 1 and 2 that overlaps
/// it.
void fill(TrackOutput& output, const VideoInfo& video) {
  output.begin({"openvino", Semantics::kHf, {}}, video, name_of);
  output.add({2,
              kWidth,
              kHeight,
              {object(1, {0, 0, 1, 1}, "dog", 0.25F), object(5, {1, 1, 2, 3}, std::nullopt)}},
             0.08);
  output.add({1, kWidth, kHeight, {object(5, {1, 1, 2, 3}, std::nullopt)}}, 0.04);
  output.add({0, kWidth, kHeight, {object(1, {0, 0, 1, 1}, "dog")}}, 0.0);
}

TEST_F(TrackOutputTest, WritesTheLinesOfTheInterface) {
  TrackOutput output(path("t.jsonl"), {}, check_);
  VideoInfo video = TrackOutputTest::video();
  video.frames.reset();
  output.begin({"openvino", Semantics::kHf, {}}, video, name_of);
  TrackedObject unsure = object(1, {0, 0, 1, 1}, "dog");
  unsure.confirmed = false;
  output.add({0, kWidth, kHeight, {unsure}}, 0.0);
  output.add_error(1, std::nullopt, "broken");
  output.finish();
  std::istringstream lines(content("t.jsonl"));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, R"({"version":1,"backend":"openvino","semantics":"hf","video":{"path":"v.mp4",)"
                  R"("width":6,"height":4,"frames":null,"fps":25.0}})");
  std::getline(lines, line);
  const std::string counts = rle_to_string(unsure.counts);
  EXPECT_EQ(line, R"({"frame":0,"time":0.0,"objects":[{"id":1,"prompt":"dog","score":0.75,)"
                  R"("object_score":0.5,"box":[0.0,0.0,1.0,1.0],"area":4,"mask":{"size":[4,6],)"
                  R"("counts":")" +
                      counts + R"("},"confirmed":false}]})");
  std::getline(lines, line);
  EXPECT_EQ(line, R"({"frame":1,"time":null,"error":"broken"})");
}

TEST_F(TrackOutputTest, RefusesAFileThatHoldsResults) {
  std::ofstream(path("t.jsonl")) << "{}\n";
  try {
    const TrackOutput output(path("t.jsonl"), {}, check_);
    ADD_FAILURE() << "an earlier result was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("holds the results of an earlier run"));
  }
  EXPECT_EQ(content("t.jsonl"), "{}\n");
}

TEST_F(TrackOutputTest, CutsOffHalfALine) {
  std::ofstream(path("t.jsonl")) << "{\"frame\": 3, \"obj";
  TrackOutput output(path("t.jsonl"), {}, check_);
  fill(output, video());
  output.finish();
  EXPECT_THAT(content("t.jsonl"), testing::StartsWith("{\"version\":1"));
}

TEST_F(TrackOutputTest, WritesMotTextByRisingFrame) {
  TrackOutput output(path("t.jsonl"), parse_exports({"mot:" + path("mot.txt")}), check_);
  fill(output, video());
  output.finish();
  EXPECT_EQ(content("mot.txt"),
            "1,1,0,0,2,2,0.75,-1,-1,-1\n"
            "2,5,1,1,2,3,0.75,-1,-1,-1\n"
            "3,1,0,0,2,2,0.75,-1,-1,-1\n"
            "3,5,1,1,2,3,0.75,-1,-1,-1\n");
}

TEST_F(TrackOutputTest, WritesMotsTextWithMasksThatDoNotOverlap) {
  TrackOutput output("-", parse_exports({"mots:" + path("mots.txt")}), check_);
  testing::internal::CaptureStdout();
  fill(output, video());
  output.finish();
  static_cast<void>(testing::internal::GetCapturedStdout());
  std::istringstream lines(content("mots.txt"));
  std::vector<std::string> heads;
  std::vector<int> covered(kWidth * kHeight);
  int frame = 0;
  int64_t id = 0;
  int number = 0;
  int64_t height = 0;
  int64_t width = 0;
  std::string counts;
  while (lines >> frame >> id >> number >> height >> width >> counts) {
    heads.push_back(std::to_string(frame) + " " + std::to_string(id) + " " +
                    std::to_string(number));
    const auto mask = rle_decode(rle_from_string(counts), height, width);
    if (frame != 3) continue;
    for (size_t i = 0; i < mask.size(); ++i) covered[i] += mask[i];
  }
  EXPECT_THAT(heads, ElementsAre("1 1 3", "2 5 4", "3 1 3", "3 5 4"));
  EXPECT_EQ(*std::ranges::max_element(covered), 1);
  EXPECT_EQ(std::accumulate(covered.begin(), covered.end(), 0), 4 + 6 - 1);
}

TEST_F(TrackOutputTest, WritesYouTubeVisWithNullWhereAnObjectIsNotSeen) {
  TrackOutput output(path("t.jsonl"), parse_exports({"coco-vis:" + path("vis.json")}), check_);
  fill(output, video());
  output.finish();
  const json document = json::parse(content("vis.json"));
  EXPECT_EQ(document["videos"][0]["length"], 3);
  EXPECT_EQ(document["videos"][0]["file_names"][2], "f2.jpg");
  EXPECT_EQ(document["categories"],
            json::parse(R"([{"id":1,"name":"dog"},{"id":2,"name":"object"}])"));
  ASSERT_EQ(document["annotations"].size(), 2U);
  const json& dog = document["annotations"][0];
  EXPECT_EQ(dog["id"], 1);
  EXPECT_EQ(dog["category_id"], 1);
  EXPECT_TRUE(dog["segmentations"][1].is_null());
  EXPECT_EQ(dog["bboxes"], json::parse("[[0,0,2,2],null,[0,0,2,2]]"));
  EXPECT_EQ(dog["areas"], json::parse("[4,null,4]"));
  EXPECT_EQ(dog["score"], 0.75);
  EXPECT_TRUE(document["annotations"][1]["areas"][0].is_null());
}

TEST_F(TrackOutputTest, WritesTheSameYouTubeVisInSmallGroups) {
  ResultLines lines(path("t.jsonl"));
  lines.add(to_header_line({"openvino", Semantics::kHf, {}}, video()));
  for (int64_t frame = 0; frame < 9; ++frame) {
    FrameResult result{frame, kWidth, kHeight, {}};
    for (int64_t id = 1; id <= 5; ++id) {
      if ((frame + id) % 3 != 0) result.objects.push_back(object(id, {0, 0, 1, 1}, "a"));
    }
    lines.add(to_frame_line(result, std::nullopt));
  }
  const LineIndex index(lines);
  const auto written = [&](size_t limit) {
    std::string text;
    write_coco_vis(
        index, video(), name_of, [&](std::string_view part) { text += part; }, limit);
    return text;
  };
  EXPECT_EQ(written(1), written(size_t{1} << 30));
  EXPECT_EQ(json::parse(written(1))["annotations"].size(), 5U);
}

TEST_F(TrackOutputTest, WritesDavisImagesWithTheIdOnTop) {
  TrackOutput output(path("t.jsonl"), parse_exports({"davis:" + path("davis")}), check_);
  fill(output, video());
  const Image image = read_image(path("davis/f2.png"));
  const auto colour = [&](int64_t x, int64_t y) {
    const uint8_t* at = image.rgb.data() + image.offset(x, y);
    return std::array<int, 3>{at[0], at[1], at[2]};
  };
  // The palette's entries 0, 1 and 5.
  EXPECT_EQ(colour(5, 0), (std::array<int, 3>{0, 0, 0}));
  EXPECT_EQ(colour(0, 0), (std::array<int, 3>{128, 0, 0}));
  EXPECT_EQ(colour(1, 1), (std::array<int, 3>{128, 0, 128}));
  EXPECT_TRUE(fs::exists(path("davis/f0.png")));
}

TEST_F(TrackOutputTest, LeavesNothingOfExportsThatWereNotFinished) {
  {
    TrackOutput output(path("t.jsonl"), parse_exports({"mot:" + path("mot.txt")}), check_);
    fill(output, video());
  }
  EXPECT_FALSE(fs::exists(path("mot.txt")));
}

TEST(ParseExports, TakesSeveralInOneTextAndPathsWithCommas) {
  const TrackExports exports =
      parse_exports({"coco-vis:a,b.json,davis:d", "mot:m.txt, mots:n:1.txt"});
  EXPECT_EQ(exports.coco_vis, "a,b.json");
  EXPECT_EQ(exports.davis, "d");
  EXPECT_EQ(exports.mot, "m.txt");
  EXPECT_EQ(exports.mots, "n:1.txt");
  for (const char* text : {"", "coco:a", "mot", "mot:", "davis:a,davis:b", ":a"}) {
    EXPECT_THROW(static_cast<void>(parse_exports({text})), Error) << text;
  }
}

TEST(LabelMap, GivesPixelsToTheHigherScoreAndOfEqualOnesToTheFirst) {
  const std::vector<uint32_t> all = {0, 4};
  const std::vector<uint32_t> half = {2, 2};
  const std::vector<MaskLayer> masks = {{half, 0.5}, {all, 0.5}, {half, 0.25}};
  EXPECT_THAT(label_map(masks, 2, 2), ElementsAre(2, 1, 2, 1));
  const std::vector<MaskLayer> other = {{half, 0.5}, {all, 0.75}};
  EXPECT_THAT(label_map(other, 2, 2), ElementsAre(2, 2, 2, 2));
  const std::vector<uint32_t> wrong = {1, 9};
  const std::vector<MaskLayer> bad = {{wrong, 1}};
  EXPECT_THROW(static_cast<void>(label_map(bad, 2, 2)), Error);
}

}  // namespace
}  // namespace sam3trt
