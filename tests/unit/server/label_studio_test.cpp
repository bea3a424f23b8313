#include "server/label_studio.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "image/polygon.hpp"
#include "image/rle.hpp"
#include "runtime/rounded.hpp"
#include "served_model.hpp"
#include "server/brush_rle.hpp"
#include "server/label_config.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

std::string config_with(const std::string& tags) {
  return "<View><Image name=\"img\" value=\"$photo\" zoom=\"true\"/>" + tags + "</View>";
}

const std::string kBrush = config_with(
    "<BrushLabels name=\"tag\" toName=\"img\" model_score_threshold=\"0.125\"><Label "
    "value=\"Tree\" "
    "predicted_values=\"tree, bush\"/><Label value=\"car\" background=\"#0f0\"/></BrushLabels>"
    "<KeyPointLabels name=\"kp\" toName=\"img\" smart=\"true\"><Label "
    "value=\"car\"/></KeyPointLabels>");

class LabelStudioTest : public testing::Test {
 protected:
  LabelStudioTest() {
    add_label_studio_routes(
        served_.routes(), served_.service(),
        [this](const std::string& source, const std::string& token, const std::string& where) {
          asked_.push_back(source + " " + token + " " + where);
          if (source.ends_with("missing.png")) {
            throw HttpError(422, "not_fetched", "there is no " + source);
          }
          return served_.service().decode(file_);
        });
  }

  Json predict(const Json& context, const std::string& config = kBrush) {
    const HttpResponse response =
        served_.post("/predict", {{"tasks", {{{"id", 5}, {"data", {{"photo", "/a.png"}}}}}},
                                  {"project", "1.2"},
                                  {"label_config", config},
                                  {"params", {{"login", nullptr}, {"context", context}}}});
    EXPECT_EQ(response.status, 200) << response.body;
    const Json body = Json::parse(response.body);
    EXPECT_EQ(body.at("results").size(), 1);
    return body.at("results")[0];
  }

  std::string error(const std::string& path, const Json& body) {
    const HttpResponse response = served_.post(path, body);
    EXPECT_EQ(response.status, 422) << response.body;
    return Json::parse(response.body).at("error").at("message");
  }

  ImageResult found(const std::vector<Prompt>& prompts, double threshold) {
    return served_.found(file_, prompts, threshold);
  }

  ImageResult pointed(const std::vector<ObjectPrompt>& objects, bool multimask) {
    return served_.pointed(file_, objects, multimask);
  }

  /// In percent of an image of 40 x 20 pixels.
  static Json click(double x, double y, bool positive) {
    return {{"type", "keypointlabels"},
            {"is_positive", positive},
            {"value", {{"x", x}, {"y", y}, {"width", 0.5}, {"keypointlabels", {"car"}}}}};
  }
  static Json rectangle(double x, double y, double width, double height, double rotation = 0) {
    return {{"type", "rectanglelabels"},
            {"value",
             {{"x", x}, {"y", y}, {"width", width}, {"height", height}, {"rotation", rotation}}}};
  }

  std::string file_ = png_of(image_of(40, 20, 2));
  ServedModel served_;
  std::vector<std::string> asked_;
};

TEST(BrushRle, IsWhatLabelStudioWrites) {
  const std::vector<uint8_t> mask{0, 0, 1, 1, 0,  //
                                  1, 0, 1, 0, 0,  //
                                  0, 0, 0, 0, 1};
  EXPECT_THAT(brush_rle(rle_counts(mask, 3, 5), 3, 5),
              ElementsAre(0, 0, 0, 60, 57, 27, 252, 224, 19, 255, 198, 1, 31, 252, 96, 17, 255, 225,
                          112, 8, 255, 192));
}

TEST(BrushRle, LongRunsAreSplit) {
  std::vector<uint8_t> mask(200 * 300, 0);
  for (size_t y = 0; y < 200; ++y) {
    for (size_t x = 0; x < 300; ++x) {
      if ((y >= 3 && y < 190 && x >= 10 && x < 20) || (y >= 100 && y < 150)) mask[y * 300 + x] = 1;
    }
  }
  const auto bytes = brush_rle(rle_counts(mask, 200, 300), 200, 300);
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += (i + 1) * bytes[i];
  EXPECT_EQ(sum % 1000003, 437677);
}

TEST(LabelConfig, LabelsAreLookedForByTheirPredictedValues) {
  const LabelTag tag = parse_label_config(kBrush);
  EXPECT_EQ(tag.type, "brushlabels");
  EXPECT_EQ(tag.name, "tag");
  EXPECT_EQ(tag.to_name, "img");
  EXPECT_EQ(tag.image_field, "photo");
  ASSERT_EQ(tag.labels.size(), 2);
  EXPECT_THAT(tag.labels[0].texts, ElementsAre("tree", "bush"));
  EXPECT_THAT(tag.labels[1].texts, ElementsAre("car"));
  EXPECT_EQ(tag.threshold, 0.125);
}

TEST(LabelConfig, MasksArePreferredToPolygonsAndThoseToRectangles) {
  const std::string label = "<Label value=\"a\"/>";
  const std::string rectangles =
      "<RectangleLabels name=\"r\" toName=\"img\">" + label + "</RectangleLabels>";
  const std::string polygons =
      "<View><PolygonLabels name=\"p\" toName=\"img\">" + label + "</PolygonLabels></View>";
  const std::string brushes = "<BrushLabels name=\"b\" toName=\"img\">" + label + "</BrushLabels>";
  EXPECT_EQ(parse_label_config(config_with(rectangles)).name, "r");
  EXPECT_EQ(parse_label_config(config_with(rectangles + polygons)).name, "p");
  EXPECT_EQ(parse_label_config(config_with(rectangles + polygons + brushes)).name, "b");
}

TEST(LabelConfig, WhatNothingCanBeWrittenForIsRefused) {
  for (const std::string& config :
       {std::string("no XML"), std::string("<View"), config_with(""),
        config_with("<BrushLabels name=\"b\" toName=\"img\"/>"),
        config_with("<BrushLabels name=\"b\" toName=\"text\"><Label value=\"a\"/></BrushLabels>"),
        config_with("<BrushLabels name=\"b\" toName=\"img\" model_score_threshold=\"2\"><Label "
                    "value=\"a\"/></BrushLabels>")}) {
    EXPECT_THROW((void)parse_label_config(config), HttpError) << config;
  }
}

TEST_F(LabelStudioTest, HealthAndSetupNameTheModel) {
  const Json health = Json::parse(served_.ask("GET", "/health").body);
  EXPECT_EQ(health.at("status"), "UP");
  const HttpResponse setup = served_.post("/setup", {{"project", "1.2"},
                                                     {"schema", kBrush},
                                                     {"hostname", "http://host:8080/"},
                                                     {"access_token", "t0"},
                                                     {"extra_params", nullptr}});
  EXPECT_EQ(setup.status, 200);
  EXPECT_THAT(Json::parse(setup.body).at("model_version").get<std::string>(), HasSubstr("fake"));
  EXPECT_EQ(served_.post("/webhook", {{"action", "ANNOTATION_CREATED"}}).status, 200);
}

TEST_F(LabelStudioTest, ImagesAreFetchedFromTheHostThatWasSetUp) {
  (void)predict(nullptr);
  (void)served_.post("/setup", {{"project", "1.2"},
                                {"schema", kBrush},
                                {"hostname", "http://host:8080/"},
                                {"access_token", "t0"}});
  (void)predict(nullptr);
  EXPECT_THAT(asked_, ElementsAre("/a.png  tasks[0].data.photo",
                                  "http://host:8080/a.png t0 tasks[0].data.photo"));
}

TEST_F(LabelStudioTest, BatchesLookForAllLabels) {
  const Json prediction = predict(nullptr);
  const ImageResult expected = found({{"tree", {}}, {"bush", {}}, {"car", {}}}, 0.125);
  const std::vector<std::string> labels{"Tree", "Tree", "car"};
  size_t at = 0;
  double scores = 0;
  for (size_t i = 0; i < 3; ++i) {
    for (const Instance& instance : expected.prompts[i].instances) {
      scores += instance.score;
      if (instance.area == 0) continue;
      const Json region = prediction.at("result").at(at++);
      EXPECT_EQ(region.at("from_name"), "tag");
      EXPECT_EQ(region.at("to_name"), "img");
      EXPECT_EQ(region.at("type"), "brushlabels");
      EXPECT_EQ(region.at("original_width"), 40);
      EXPECT_EQ(region.at("original_height"), 20);
      EXPECT_EQ(region.at("score"), rounded(instance.score, 6));
      EXPECT_EQ(region.at("value"), (Json{{"format", "rle"},
                                          {"rle", brush_rle(instance.counts, 20, 40)},
                                          {"brushlabels", {labels[i]}}}));
    }
  }
  EXPECT_GT(at, 0);
  EXPECT_EQ(prediction.at("result").size(), at);
  EXPECT_GT(scores, 0);
  EXPECT_GT(prediction.at("score"), 0);
}

TEST_F(LabelStudioTest, ATaskThatCannotBeReadLeavesTheOthers) {
  const Json tasks{{{"data", {{"photo", "/a.png"}}}}, {{"data", {{"photo", "/missing.png"}}}}};
  const Json body{{"tasks", tasks}, {"label_config", kBrush}};
  const Json results = Json::parse(served_.post("/predict", body).body).at("results");
  ASSERT_EQ(results.size(), 2);
  EXPECT_GT(results[0].at("result").size(), 0);
  EXPECT_EQ(results[1].at("result").size(), 0);
  EXPECT_THAT(results[1].at("error").get<std::string>(), HasSubstr("missing.png"));
  EXPECT_THAT(error("/predict", {{"tasks", {tasks[1]}}, {"label_config", kBrush}}),
              HasSubstr("missing.png"));
}

TEST_F(LabelStudioTest, ClicksPointAtOneObject) {
  ObjectPrompt object;
  object.points = {{10, 5, true}};
  for (const bool several : {false, true}) {
    Json regions{click(25, 25, true)};
    if (several) {
      regions.push_back(click(50, 75, false));
      object.points.push_back({20, 15, false});
    }
    const Json prediction = predict({{"result", regions}});
    const ImageResult expected = pointed({object}, !several);
    ASSERT_GT(expected.objects[0].area, 0);
    ASSERT_EQ(prediction.at("result").size(), 1);
    const Json region = prediction.at("result")[0];
    EXPECT_EQ(region.at("value").at("rle"), Json(brush_rle(expected.objects[0].counts, 20, 40)));
    EXPECT_EQ(region.at("value").at("brushlabels"), Json({"car"}));
    EXPECT_EQ(prediction.at("score"), rounded(expected.objects[0].score, 6));
  }
}

TEST_F(LabelStudioTest, RectanglesPointAtOneObjectEach) {
  ObjectPrompt first;
  first.box = PixelBox{4, 2, 20, 12};
  ObjectPrompt second;
  second.id = 2;
  second.box = PixelBox{20, 5, 30, 15};
  const Json prediction =
      predict({{"result", {rectangle(10, 10, 40, 50), rectangle(50, 25, 25, 50)}}});
  const ImageResult expected = pointed({first, second}, false);
  size_t at = 0;
  for (const ObjectResult& object : expected.objects) {
    if (object.area == 0) continue;
    EXPECT_EQ(prediction.at("result").at(at++).at("value").at("rle"),
              Json(brush_rle(object.counts, 20, 40)));
  }
  EXPECT_GT(at, 0);
  // Turned by a right angle about its corner it lies on the other side of it.
  EXPECT_EQ(predict({{"result", {rectangle(50, 10, 25, 80, 90)}}}).at("result").at(0).at("value"),
            predict({{"result", {rectangle(10, 10, 40, 50)}}}).at("result").at(0).at("value"));
}

TEST_F(LabelStudioTest, TextsAreLookedFor) {
  const Json prediction =
      predict({{"result", {{{"type", "textarea"}, {"value", {{"text", {"car"}}}}}}}});
  const ImageResult expected = found({{"car", {}}}, 0.125);
  ASSERT_GT(prediction.at("result").size(), 0);
  EXPECT_EQ(prediction.at("result")[0].at("value").at("rle"),
            Json(brush_rle(expected.prompts[0].instances[0].counts, 20, 40)));
}

TEST_F(LabelStudioTest, PolygonsAndRectanglesAreInPercent) {
  const std::string label = "<Label value=\"tree\"/>";
  const std::string polygons =
      config_with("<PolygonLabels name=\"p\" toName=\"img\" model_score_threshold=\"0\">" + label +
                  "</PolygonLabels>");
  const std::string rectangles =
      config_with("<RectangleLabels name=\"r\" toName=\"img\" model_score_threshold=\"0\">" +
                  label + "</RectangleLabels>");
  const ImageResult expected = found({{"tree", {}}}, 0);
  // Empty masks have no region.
  const auto& all = expected.prompts[0].instances;
  const auto first = std::ranges::find_if(all, [](const auto& one) { return one.area > 0; });
  ASSERT_NE(first, all.end());
  const Instance& instance = *first;
  const Json polygon = predict(nullptr, polygons).at("result")[0].at("value");
  Json points = Json::array();
  const auto rings = mask_outlines(instance.counts, 20, 40, OutlinePoints::kPixelCorners);
  for (const RingPoint point : rings[0]) {
    points.push_back({point.x * 2.5, point.y * 5.0});
  }
  EXPECT_EQ(polygon, (Json{{"points", points}, {"closed", true}, {"polygonlabels", {"tree"}}}));
  const Json rectangle = predict(nullptr, rectangles).at("result")[0].at("value");
  const auto box = rle_box(instance.counts, 20);
  EXPECT_EQ(rectangle, (Json{{"x", box[0] * 2.5},
                             {"y", box[1] * 5.0},
                             {"width", (box[2] + 1 - box[0]) * 2.5},
                             {"height", (box[3] + 1 - box[1]) * 5.0},
                             {"rotation", 0},
                             {"rectanglelabels", {"tree"}}}));
}

TEST_F(LabelStudioTest, WrongRequestsNameTheField) {
  const Json tasks{{{"data", {{"photo", "/a.png"}}}}};
  const auto with = [&](const Json& context) {
    return Json{{"tasks", tasks}, {"label_config", kBrush}, {"params", {{"context", context}}}};
  };
  EXPECT_THAT(error("/setup", {{"schema", "<View/>"}}), HasSubstr("label_config"));
  EXPECT_THAT(error("/predict", {{"tasks", tasks}}), HasSubstr("label_config"));
  EXPECT_THAT(error("/predict", {{"label_config", kBrush}}), HasSubstr("tasks"));
  EXPECT_THAT(
      error("/predict", {{"tasks", {{{"data", {{"image", "x"}}}}}}, {"label_config", kBrush}}),
      HasSubstr("tasks[0].data.photo"));
  EXPECT_THAT(
      error("/predict", with({{"result", {{{"type", "brushlabels"}, {"value", {{"rle", 1}}}}}}})),
      HasSubstr("params.context.result[0].type"));
  EXPECT_THAT(
      error("/predict", with({{"result", {{{"type", "keypointlabels"}, {"value", {{"x", 1}}}}}}})),
      HasSubstr("params.context.result[0].value.y"));
  EXPECT_THAT(
      error("/predict",
            with({{"result",
                   {click(5, 5, true), rectangle(10, 10, 40, 50), rectangle(50, 25, 25, 50)}}})),
      HasSubstr("one rectangle"));
}

}  // namespace
}  // namespace sam3trt
