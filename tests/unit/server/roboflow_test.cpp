#include "server/roboflow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image/polygon.hpp"
#include "image/rle.hpp"
#include "runtime/rounded.hpp"
#include "served_model.hpp"
#include "server/mask_nms.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr const char* kConcepts = "/sam3/concept_segment";
constexpr const char* kObjects = "/sam3/visual_segment";

class RoboflowTest : public testing::Test {
 protected:
  RoboflowTest() { add_roboflow_routes(served_.routes(), served_.service(), served_.images()); }

  [[nodiscard]] Json request(const Json& fields) const {
    Json body{{"image", {{"type", "base64"}, {"value", base64_of(file_)}}}, {"api_key", "secret"}};
    body.update(fields);
    return body;
  }

  Json answer(const std::string& path, const Json& fields) {
    const HttpResponse response = served_.post(path, request(fields));
    EXPECT_EQ(response.status, 200) << response.body;
    return Json::parse(response.body);
  }

  std::string error(const std::string& path, const Json& fields, int status = 422) {
    const HttpResponse response = served_.post(path, request(fields));
    EXPECT_EQ(response.status, status) << response.body;
    const Json json = Json::parse(response.body);
    EXPECT_EQ(json.at("message"), json.at("error").at("message"));
    return json.at("message");
  }

  ImageResult found(const std::vector<Prompt>& prompts, double threshold) {
    return served_.found(file_, prompts, threshold);
  }

  ImageResult pointed(const std::vector<ObjectPrompt>& objects, bool multimask) {
    return served_.pointed(file_, objects, multimask);
  }

  static Json rle_of(const std::vector<uint32_t>& counts) {
    return {{"size", {23, 40}}, {"counts", rle_to_string(counts)}};
  }

  std::string file_ = png_of(image_of(40, 23, 2));
  ServedModel served_;
};

TEST_F(RoboflowTest, ConceptsHaveTheirInstancesAsRunLengths) {
  const Json result = answer(kConcepts, {{"prompts",
                                          {{{"type", "text"}, {"text", "tree"}},
                                           {{"type", "visual"},
                                            {"boxes",
                                             {{{"x", 2}, {"y", 1}, {"width", 7}, {"height", 6}},
                                              {{"x0", 0}, {"y0", 0}, {"x1", 5}, {"y1", 5}}}},
                                            {"box_labels", {1, false}}}}},
                                         {"format", "rle"},
                                         {"model_id", "sam3/sam3_final"},
                                         {"output_prob_thresh", 0.125}});
  const ImageResult expected = found({{"tree", {}}, {std::nullopt, {kBox, kUnwanted}}}, 0.125);
  ASSERT_EQ(result.at("prompt_results").size(), 2);
  EXPECT_TRUE(result.at("time").is_number());
  size_t instances = 0;
  for (size_t i = 0; i < 2; ++i) {
    const Json prompt = result.at("prompt_results")[i];
    EXPECT_EQ(prompt.at("prompt_index"), i);
    ASSERT_EQ(prompt.at("predictions").size(), expected.prompts[i].instances.size());
    for (size_t j = 0; j < prompt.at("predictions").size(); ++j, ++instances) {
      const Instance& instance = expected.prompts[i].instances[j];
      EXPECT_EQ(prompt.at("predictions")[j], (Json{{"format", "rle"},
                                                   {"confidence", rounded(instance.score, 6)},
                                                   {"masks", rle_of(instance.counts)}}));
    }
  }
  EXPECT_GT(instances, 0);
  EXPECT_EQ(result.at("prompt_results")[0].at("echo"),
            (Json{{"prompt_index", 0}, {"type", "text"}, {"text", "tree"}, {"num_boxes", 0}}));
  EXPECT_EQ(result.at("prompt_results")[1].at("echo"),
            (Json{{"prompt_index", 1}, {"type", "visual"}, {"text", nullptr}, {"num_boxes", 2}}));
}

TEST_F(RoboflowTest, MasksArePolygonsByDefault) {
  const Json result =
      answer(kConcepts, {{"prompts", {{{"text", "tree"}}}}, {"output_prob_thresh", 0}});
  const ImageResult expected = found({{"tree", {}}}, 0);
  const Json predictions = result.at("prompt_results")[0].at("predictions");
  ASSERT_GT(predictions.size(), 0);
  for (size_t i = 0; i < predictions.size(); ++i) {
    Json rings = Json::array();
    for (const Ring& ring :
         mask_outlines(expected.prompts[0].instances[i].counts, 23, 40, OutlinePoints::kPixels)) {
      Json points = Json::array();
      for (const RingPoint point : ring) points.push_back({point.x, point.y});
      rings.push_back(points);
    }
    EXPECT_EQ(predictions[i].at("format"), "polygon");
    EXPECT_EQ(predictions[i].at("masks"), rings);
  }
}

TEST_F(RoboflowTest, APromptMayHaveAThresholdOfItsOwn) {
  const Json result =
      answer(kConcepts,
             {{"prompts", {{{"text", "tree"}, {"output_prob_thresh", 0.0}}, {{"text", "tree"}}}},
              {"output_prob_thresh", 1.0}});
  const size_t all = found({{"tree", {}}}, 0).prompts[0].instances.size();
  ASSERT_GT(all, 0);
  EXPECT_EQ(result.at("prompt_results")[0].at("predictions").size(), all);
  EXPECT_EQ(result.at("prompt_results")[1].at("predictions").size(), 0);
}

TEST_F(RoboflowTest, OverlapsGoAcrossPromptsWhenAsked) {
  const Json prompts{{{"text", "tree"}}, {{"text", "tree"}}};
  const Json all = answer(kConcepts, {{"prompts", prompts}, {"output_prob_thresh", 0}});
  const Json left = answer(
      kConcepts, {{"prompts", prompts}, {"output_prob_thresh", 0}, {"nms_iou_threshold", 0.9}});
  ImageResult expected = found({{"tree", {}}, {"tree", {}}}, 0);
  suppress_overlaps(expected, 0.9);
  EXPECT_GT(all.at("prompt_results")[1].at("predictions").size(),
            left.at("prompt_results")[1].at("predictions").size());
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(left.at("prompt_results")[i].at("predictions").size(),
              expected.prompts[i].instances.size());
  }
}

TEST_F(RoboflowTest, ObjectsAreWhatIsPointedAt) {
  ObjectPrompt clicked;
  clicked.points = {{5, 4, true}, {20, 10, false}};
  ObjectPrompt boxed;
  boxed.id = 2;
  boxed.box = PixelBox{2, 1, 10, 9};
  const Json prompts{
      {{"points",
        {{{"x", 5}, {"y", 4}, {"positive", true}}, {{"x", 20}, {"y", 10}, {"positive", false}}}}},
      {{"box", {{"x", 6}, {"y", 5}, {"width", 8}, {"height", 8}}}}};
  for (const bool multimask : {true, false}) {
    const ImageResult expected = pointed({clicked, boxed}, multimask);
    for (const Json& form : {Json{{"prompts", prompts}}, prompts}) {
      const Json result =
          answer(kObjects, {{"prompts", form}, {"multimask_output", multimask}, {"format", "rle"}});
      ASSERT_EQ(result.at("predictions").size(), 2);
      for (size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(result.at("predictions")[i].at("masks"), rle_of(expected.objects[i].counts));
        EXPECT_EQ(result.at("predictions")[i].at("confidence"),
                  rounded(expected.objects[i].score, 6));
      }
    }
  }
}

TEST_F(RoboflowTest, BoxesOfObjectsHaveSeveralForms) {
  ObjectPrompt boxed;
  boxed.box = PixelBox{2, 1, 10, 9};
  const Json expected = rle_of(pointed({boxed}, true).objects[0].counts);
  for (const Json& box : {Json{2, 1, 10, 9}, Json{{"x0", 2}, {"y0", 1}, {"x1", 10}, {"y1", 9}},
                          Json{{"x1", 2}, {"y1", 1}, {"x2", 10}, {"y2", 9}}}) {
    for (const Json& fields : {Json{{"prompts", {{"box", box}}}}, Json{{"boxes", {box}}}}) {
      Json body = fields;
      body["format"] = "rle";
      EXPECT_EQ(answer(kObjects, body).at("predictions")[0].at("masks"), expected) << fields;
    }
  }
}

TEST_F(RoboflowTest, EmbeddingKeepsTheImage) {
  const Json result = answer("/sam3/embed_image", Json::object());
  const std::string digest = served_.service().decode(file_).digest;
  EXPECT_EQ(result.at("image_id"), digest);
  EXPECT_EQ(served_.service().image_of(digest).digest, digest);
  EXPECT_EQ(answer("/sam3/embed_image", {{"image_id", "mine"}}).at("image_id"), "mine");
}

TEST_F(RoboflowTest, WrongRequestsNameTheField) {
  const Json tree{{"text", "tree"}};
  EXPECT_THAT(error(kConcepts, Json::object()), HasSubstr("prompts"));
  EXPECT_THAT(error(kConcepts, {{"prompts", Json::array()}}), HasSubstr("prompts"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {Json::object()}}}), HasSubstr("prompts[0].text"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {{{"type", "visual"}, {"text", "a"}}}}}),
              HasSubstr("prompts[0].boxes"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {tree, {{"boxes", {{{"x", 1}}}}}}}}),
              HasSubstr("prompts[1].boxes[0].y"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {{{"boxes", Json::array()}, {"box_labels", {1}}}}}}),
              HasSubstr("box_labels"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {tree}}, {"format", "binary"}}), HasSubstr("format"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {tree}}, {"output_prob_thresh", 2}}),
              HasSubstr("output_prob_thresh"));
  EXPECT_THAT(error(kConcepts, {{"prompts", {tree}}, {"image", nullptr}}), HasSubstr("image"));
  EXPECT_THAT(
      error(kConcepts, {{"prompts", {tree}}, {"image", {{"type", "numpy"}, {"value", "x"}}}}),
      HasSubstr("image.type"));
  EXPECT_THAT(error(kConcepts,
                    {{"prompts", {tree}}, {"image", {{"type", "base64"}, {"value", "Zm9v"}}}}, 415),
              HasSubstr("image"));
  EXPECT_THAT(error(kObjects, Json::object()), HasSubstr("prompts"));
  EXPECT_THAT(error(kObjects, {{"prompts", {Json::object()}}}), HasSubstr("prompts[0].points"));
  EXPECT_EQ(served_.ask("POST", kConcepts, "{").status, 400);
}

TEST(SuppressOverlaps, TheHigherScoreStays) {
  // Masks of one row: 10 pixels; 9 of them; 5 others.
  const Instance whole{.score = 0.6F, .area = 10, .counts = {0, 10, 10}};
  const Instance most{.score = 0.9F, .area = 9, .counts = {0, 9, 11}};
  const Instance other{.score = 0.5F, .area = 5, .counts = {12, 5, 3}};
  ImageResult result;
  result.prompts = {{{}, 1, {whole, other}}, {{}, 1, {most}}};
  suppress_overlaps(result, 0.9);
  EXPECT_EQ(result.prompts[0].instances.size(), 2);
  suppress_overlaps(result, 0.85);
  ASSERT_EQ(result.prompts[0].instances.size(), 1);
  EXPECT_EQ(result.prompts[0].instances[0].counts, other.counts);
  EXPECT_EQ(result.prompts[1].instances.size(), 1);
}

}  // namespace
}  // namespace sam3trt
