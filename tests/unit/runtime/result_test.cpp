#include "runtime/result.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

/// One image of 2 x 3 pixels with one instance that covers its second column.
ImageResult example_image() {
  ImageResult image;
  image.path = "street.jpg";
  image.width = 3;
  image.height = 2;
  image.prompts.push_back({{"dog", {{{10, 20.5, 200, 220}, true}, {{1, 2, 3, 4}, false}}},
                           0.98F,
                           {{0.93F, 7, {12.1F, -0.0001F, 198.4F, 219.7F}, 2, {2, 2, 2}}}});
  image.timings_ms = {1.23456, 0.3, 14.4, 3.1, 0.4};
  return image;
}

TEST(ToJsonLine, WritesTheEntryOfTheInterface) {
  const std::string line =
      to_json_line({"openvino", Semantics::kMeta, {}}, example_image(), FileStamp{12345, 678});
  const auto expected = Json::parse(R"({"version": 1, "backend": "openvino", "semantics": "meta",
      "path": "street.jpg", "width": 3, "height": 2,
      "prompts": [{"text": "dog", "boxes": [[10.0, 20.5, 200.0, 220.0], [1.0, 2.0, 3.0, 4.0]],
        "box_labels": [1, 0], "presence": 0.98,
        "instances": [{"score": 0.93, "box": [12.1, 0.0, 198.4, 219.7], "area": 2,
                       "mask": {"size": [2, 3], "counts": "222"}}]}],
      "timings_ms": {"decode": 1.235, "preprocess": 0.3, "vision_encoder": 14.4,
                     "detector": 3.1, "postprocess": 0.4},
      "bytes": 12345, "modified": 678})");
  // Compared as text, so that the order of the keys and the digits count too.
  EXPECT_EQ(line, expected.dump() + "\n");
}

Json line_of(const ImageResult& image) {
  return Json::parse(to_json_line({"openvino", Semantics::kHf, {}}, image, std::nullopt));
}

TEST(ToJsonLine, ABoxWithoutTextHasNoText) {
  ImageResult image = example_image();
  image.prompts[0].prompt.text.reset();
  EXPECT_TRUE(line_of(image)["prompts"][0]["text"].is_null());
}

TEST(ToJsonLine, AnImageWithAnErrorHasNothingElse) {
  ImageResult broken;
  broken.path = "broken.jpg";
  broken.error = "broken.jpg: truncated";
  EXPECT_EQ(line_of(broken).dump(),
            R"({"version":1,"backend":"openvino","semantics":"hf","path":"broken.jpg",)"
            R"("error":"broken.jpg: truncated"})");
}

TEST(ToJsonLine, AnImageWhoseOverlayFailedKeepsItsResults) {
  ImageResult image = example_image();
  image.error = "overlay.png: writing failed";
  const Json json = line_of(image);
  EXPECT_EQ(json["error"], "overlay.png: writing failed");
  EXPECT_EQ(json["prompts"].size(), 1U);
}

TEST(ToJsonLine, UnverifiedEnginesMarkTheResult) {
  RunHeader header{"tensorrt", Semantics::kHf, {}};
  EXPECT_FALSE(Json::parse(to_json_line(header, example_image(), {})).contains("verified"));
  header.unverified = {{"detector", "failed"}, {"mask_head", "none"}};
  const auto json = Json::parse(to_json_line(header, example_image(), {}));
  EXPECT_EQ(json["verified"], false);
  EXPECT_EQ(json["unverified"].dump(), R"({"detector":"failed","mask_head":"none"})");
}

TEST(ToJsonLine, BytesThatAreNotUtf8AreReplaced) {
  ImageResult image = example_image();
  image.path = "a\xff.jpg";
  EXPECT_EQ(line_of(image)["path"], "a\xef\xbf\xbd.jpg");
}

}  // namespace
}  // namespace sam3trt
