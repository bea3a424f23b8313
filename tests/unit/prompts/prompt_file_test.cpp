#include "prompts/prompt_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "image/image.hpp"
#include "image/rle.hpp"
#include "prompts/mask_image.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PromptFile parse(const std::string& text) {
  return parse_prompt_file(std::as_bytes(std::span(text)), "p.json", std::nullopt);
}

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(parse(text));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "nothing was refused";
}

/// A black image with these pixels.
Image image_with(int64_t width, int64_t height,
                 const std::vector<std::pair<size_t, std::array<uint8_t, 3>>>& pixels) {
  Image image{width, height, std::vector<uint8_t>(static_cast<size_t>(width * height) * 3)};
  for (const auto& [at, colour] : pixels) std::ranges::copy(colour, image.rgb.begin() + 3 * at);
  return image;
}

TEST(PromptFile, TakesEverythingThatItsFormHas) {
  const PromptFile file = parse(R"({
    "objects": [{"id": 7, "image": "a.jpg", "frame": 3, "points": [[1, 2.5], [3, 4]],
                 "point_labels": [1, 0], "box": [1, 2, 3, 4]},
                {"mask": {"size": [2, 3], "counts": [1, 2, 3]}}],
    "concepts": [{"text": "dog", "boxes": [[1, 2, 3, 4], [5, 6, 7, 8]], "box_labels": [0, 1],
                  "frame": 2}, {"boxes": [[0, 0, 1, 1]], "text": null}]})");
  ASSERT_EQ(file.objects.size(), 2U);
  const PlacedObject& object = file.objects[0];
  EXPECT_EQ(object.prompt.id, 7);
  EXPECT_EQ(object.image, "a.jpg");
  EXPECT_EQ(object.frame, 3);
  ASSERT_EQ(object.prompt.points.size(), 2U);
  EXPECT_EQ(object.prompt.points[0].y, 2.5);
  EXPECT_TRUE(object.prompt.points[0].positive);
  EXPECT_FALSE(object.prompt.points[1].positive);
  EXPECT_THAT(object.prompt.box.value(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(file.objects[1].prompt.id, 1);
  EXPECT_EQ(file.objects[1].prompt.mask->width, 3);
  EXPECT_EQ(file.objects[1].prompt.mask->height, 2);
  EXPECT_THAT(file.objects[1].prompt.mask->counts, ElementsAre(1, 2, 3));
  ASSERT_EQ(file.concepts.size(), 2U);
  EXPECT_EQ(file.concepts[0].prompt.text, "dog");
  EXPECT_FALSE(file.concepts[0].prompt.boxes[0].positive);
  EXPECT_TRUE(file.concepts[0].prompt.boxes[1].positive);
  EXPECT_EQ(file.concepts[0].frame, 2);
  EXPECT_FALSE(file.concepts[1].prompt.text.has_value());
  EXPECT_TRUE(file.concepts[1].prompt.boxes[0].positive);
}

TEST(PromptFile, TakesLabelsThatAreLeftOutAsPositive) {
  const PromptFile file = parse(R"({"objects": [{"points": [[1, 2], [3, 4]]}]})");
  EXPECT_TRUE(file.objects[0].prompt.points[0].positive);
  EXPECT_TRUE(file.objects[0].prompt.points[1].positive);
}

TEST(PromptFile, TakesCompressedRunLengths) {
  const std::vector<uint32_t> runs = {3, 5, 4};
  const PromptFile file = parse(R"({"objects": [{"mask": {"size": [3, 4], "counts": ")" +
                                rle_to_string(runs) + R"("}}]})");
  EXPECT_EQ(file.objects[0].prompt.mask->counts, runs);
}

TEST(PromptFile, NamesTheEntryAndWhatIsWrongWithIt) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "p.json: is not valid JSON"},
      {"[]", "p.json: expected a JSON object"},
      {"{}", "p.json: asks for nothing"},
      {R"({"object": []})", "unknown field \"object\"; expected objects, concepts"},
      {R"({"objects": {}})", "p.json.objects: expected a list"},
      {R"({"objects": [1]})", "p.json: objects[0]: expected a JSON object"},
      {R"({"objects": [{"id": 1}]})", "objects[0]: points at nothing"},
      {R"({"objects": [{"points": [[1, 2]], "labels": [1]}]})", "unknown field \"labels\""},
      {R"({"objects": [{"points": [[1, 2]], "id": -1}]})", "objects[0].id: expected an integer"},
      {R"({"objects": [{"points": [[1, 2]], "id": 1.5}]})", "objects[0].id"},
      {R"({"objects": [{"points": [[1, 2]], "id": 18446744073709551615}]})", "objects[0].id"},
      {R"({"objects": [{"points": [[1, 2]], "frame": 1e3}]})", "objects[0].frame"},
      {R"({"objects": [{"points": [[1, 2]], "frame": -3}]})", "objects[0].frame"},
      {R"({"objects": [{"points": [1, 2]}]})", "objects[0].points: expected entries [x, y]"},
      {R"({"objects": [{"points": [[1, 2, 3]]}]})", "objects[0].points"},
      {R"({"objects": [{"points": [["1", 2]]}]})", "objects[0].points"},
      {R"({"objects": [{"points": [[1, 2]], "point_labels": [1, 1]}]})",
       "objects[0].point_labels: expected 1 labels, one for each, found 2"},
      {R"({"objects": [{"points": [[1, 2]], "point_labels": [2]}]})", "objects[0].point_labels"},
      {R"({"objects": [{"box": [3, 2, 1, 4]}]})", "objects[0].box: expected [x0, y0, x1, y1]"},
      {R"({"objects": [{"box": [1, 2, 3]}]})", "objects[0].box"},
      {R"({"objects": [{"mask": 3}]})", "objects[0].mask"},
      {R"({"objects": [{"mask": {"size": [2, 3]}}]})", "objects[0].mask.counts"},
      {R"({"objects": [{"mask": {"size": [2, 3], "counts": [1, 2]}}]})",
       "runs of 6 pixels together (height times width), found 3"},
      {R"({"objects": [{"mask": {"size": [2, 3], "counts": [6]}}]})", "is an empty mask"},
      {R"({"objects": [{"mask": {"size": [2, 3], "counts": [-1, 7]}}]})", "numbers of pixels"},
      {R"({"objects": [{"mask": {"size": [2, 3], "counts": "\u0001"}}]})", "malformed"},
      {R"({"objects": [{"mask": {"size": [999999999, 999999999], "counts": [1]}}]})", "size"},
      {R"({"objects": [{"mask": {"size": [2, 3], "counts": [3, 3], "x": 1}}]})", "field \"x\""},
      {R"({"objects": [{"points": [[1, 2]]}, {"points": [[1, 2]], "frame": 0}]})",
       "objects[1]: the id 1 is there twice"},
      {R"({"concepts": [{}]})", "concepts[0]: asks for nothing"},
      {R"({"concepts": [{"text": ""}]})", "concepts[0].text"},
      {R"({"concepts": [{"boxes": [[1, 2, 3, 4]], "box_labels": [true]}]})", "box_labels"},
      {R"({"concepts": [{"text": "a", "text": "b"}]})", "appears twice"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_THAT(refusal(text), HasSubstr(expected)) << text;
  }
  EXPECT_THAT(refusal("{\"objects\": " + std::string(70, '[') + std::string(70, ']') + "}"),
              HasSubstr("nested deeper"));
}

TEST(PromptFile, CountsTheSameIdOnOtherFramesAsACorrection) {
  const PromptFile file =
      parse(R"({"objects": [{"points": [[1, 2]]}, {"points": [[1, 2]], "frame": 9}]})");
  EXPECT_EQ(file.objects.size(), 2U);
}

TEST(PromptFile, ReadsMasksRelativeToItself) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("prompt_file_test." + std::to_string(::getpid()));
  fs::create_directories(folder / "masks");
  const auto png = encode_png(image_with(3, 2, {{1, {255, 255, 255}}}));
  std::ofstream(folder / "masks/m.png", std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  std::ofstream(folder / "p.json") << R"({"objects": [{"mask": "masks/m.png"}]})";
  std::ofstream(folder / "q.json") << R"({"objects": [{"mask": "masks/none.png"}]})";
  const PromptFile file = read_prompt_file(folder / "p.json");
  EXPECT_THAT(file.objects[0].prompt.mask->counts, ElementsAre(2, 1, 3));
  try {
    static_cast<void>(read_prompt_file(folder / "q.json"));
    ADD_FAILURE() << "a missing mask was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("objects[0].mask: "));
    EXPECT_THAT(error.what(), HasSubstr("none.png"));
  }
  fs::remove_all(folder);
}

TEST(MaskImage, TakesTheFormsInWhichMasksAreWritten) {
  const std::vector<uint32_t> runs = {2, 1, 3};
  for (const uint8_t value : {uint8_t{1}, uint8_t{128}, uint8_t{255}}) {
    EXPECT_EQ(mask_of_image(image_with(3, 2, {{1, {value, value, value}}}), "m").counts, runs);
  }
  EXPECT_EQ(mask_of_image(image_with(3, 2, {{1, {128, 0, 0}}}), "m").counts, runs);
  // Soft edges: above 127 is inside.
  EXPECT_EQ(
      mask_of_image(image_with(3, 2, {{0, {127, 127, 127}}, {1, {255, 255, 255}}}), "m").counts,
      runs);
  const Image all{2, 1, std::vector<uint8_t>(6, 255)};
  EXPECT_THAT(mask_of_image(all, "m").counts, ElementsAre(0, 2));
}

TEST(MaskImage, RefusesImagesThatAreNotMasks) {
  const auto message = [](const Image& image) {
    try {
      static_cast<void>(mask_of_image(image, "m.png"));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing was refused");
  };
  EXPECT_THAT(message(image_with(3, 2, {})), HasSubstr("m.png: is an empty mask"));
  EXPECT_THAT(message(image_with(3, 2, {{0, {9, 0, 0}}, {1, {0, 9, 0}}})),
              HasSubstr("several colours"));
  EXPECT_THAT(message(image_with(3, 2, {{0, {1, 1, 1}}, {1, {2, 2, 2}}})),
              HasSubstr("one file for each object"));
}

TEST(ParsePoint, TakesTwoNumbers) {
  EXPECT_EQ(parse_point("1.5,-2", "--point", true).y, -2);
  for (const char* text : {"", "1", "1,", "1,2,3", "1;2", "a,b", "inf,1", "nan,1", " 1,2"}) {
    EXPECT_THROW(static_cast<void>(parse_point(text, "--point", true)), Error) << text;
  }
}

}  // namespace
}  // namespace sam3trt
