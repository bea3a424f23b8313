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

TEST(ToJson, WritesTheDocumentOfTheInterface) {
  const RunResult result{"openvino", Semantics::kMeta, {example_image()}};
  const auto expected = Json::parse(R"({"version": 1, "backend": "openvino", "semantics": "meta",
      "images": [{"path": "street.jpg", "width": 3, "height": 2,
        "prompts": [{"text": "dog", "boxes": [[10.0, 20.5, 200.0, 220.0], [1.0, 2.0, 3.0, 4.0]],
          "box_labels": [1, 0], "presence": 0.98,
          "instances": [{"score": 0.93, "box": [12.1, 0.0, 198.4, 219.7], "area": 2,
                         "mask": {"size": [2, 3], "counts": "222"}}]}],
        "timings_ms": {"decode": 1.235, "preprocess": 0.3, "vision_encoder": 14.4,
                       "detector": 3.1, "postprocess": 0.4}}]})");
  // Compared as text, so that the order of the keys and the digits count too.
  EXPECT_EQ(Json::parse(to_json(result)).dump(), expected.dump());
  EXPECT_EQ(to_json(result).back(), '\n');
}

TEST(ToJson, ABoxWithoutTextHasNoText) {
  ImageResult image = example_image();
  image.prompts[0].prompt.text.reset();
  const auto json = Json::parse(to_json({"openvino", Semantics::kHf, {image}}));
  EXPECT_TRUE(json["images"][0]["prompts"][0]["text"].is_null());
}

TEST(ToJson, AnImageWithAnErrorHasNothingElse) {
  ImageResult broken;
  broken.path = "broken.jpg";
  broken.error = "broken.jpg: truncated";
  const auto json = Json::parse(to_json({"openvino", Semantics::kHf, {broken, example_image()}}));
  EXPECT_EQ(json["images"][0].dump(), R"({"path":"broken.jpg","error":"broken.jpg: truncated"})");
  EXPECT_TRUE(json["images"][1].contains("prompts"));
}

TEST(ToJson, AnImageWhoseOverlayFailedKeepsItsResults) {
  ImageResult image = example_image();
  image.error = "overlay.png: writing failed";
  const auto json = Json::parse(to_json({"openvino", Semantics::kHf, {image}}))["images"][0];
  EXPECT_EQ(json["error"], "overlay.png: writing failed");
  EXPECT_EQ(json["prompts"].size(), 1U);
}

TEST(ToJson, UnverifiedEnginesMarkTheResult) {
  RunResult result{"tensorrt", Semantics::kHf, {example_image()}};
  EXPECT_FALSE(Json::parse(to_json(result)).contains("verified"));
  result.unverified = {{"detector", "failed"}, {"mask_head", "none"}};
  const auto json = Json::parse(to_json(result));
  EXPECT_EQ(json["verified"], false);
  EXPECT_EQ(json["unverified"].dump(), R"({"detector":"failed","mask_head":"none"})");
}

TEST(ToJson, BytesThatAreNotUtf8AreReplaced) {
  ImageResult image = example_image();
  image.path = "a\xff.jpg";
  const auto json = Json::parse(to_json({"openvino", Semantics::kHf, {image}}));
  EXPECT_EQ(json["images"][0]["path"], "a\xef\xbf\xbd.jpg");
}

}  // namespace
}  // namespace sam3trt
