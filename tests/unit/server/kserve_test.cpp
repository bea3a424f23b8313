#include "server/kserve.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "image/rle.hpp"
#include "served_model.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kInfer = "/v2/models/sam3/infer";
constexpr const char* kHeader = "Inference-Header-Content-Length";

Json tensor(const std::string& name, const std::string& type, const Json& shape, const Json& data) {
  return {{"name", name}, {"datatype", type}, {"shape", shape}, {"data", data}};
}

template <typename Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

/// An element of BYTES with its length before it.
std::string element(const std::string& text) {
  return bytes_of<uint32_t>({static_cast<uint32_t>(text.size())}) + text;
}

class KserveTest : public testing::Test {
 protected:
  KserveTest() { add_kserve_routes(served_.routes(), served_.service(), served_.images()); }

  [[nodiscard]] Json request(Json more = Json::array()) const {
    Json inputs{tensor("image", "BYTES", {1}, {base64_of(file_)})};
    for (const Json& input : more) inputs.push_back(input);
    return {{"inputs", inputs}};
  }

  ImageResult expected(const std::vector<Prompt>& prompts, double threshold = 0.5) {
    DetectOptions options;
    options.thresholds.score = threshold;
    return served_.service().detect(served_.service().decode(file_), prompts, options, {});
  }

  std::string error(const Json& body, int status = 400) {
    const HttpResponse response = served_.post(kInfer, body);
    EXPECT_EQ(response.status, status) << response.body;
    const Json json = Json::parse(response.body);
    return json.at("error").is_string() ? json.at("error").get<std::string>() : "";
  }

  std::string file_ = png_of(image_of(40, 23, 2));
  ServedModel served_;
};

/// By name.
Json outputs_of(const HttpResponse& response) {
  Json outputs;
  const Json body = Json::parse(response.body);
  for (const Json& output : body.at("outputs")) outputs[output.at("name")] = output.at("data");
  return outputs;
}

TEST_F(KserveTest, JsonGivesWhatTheModelFinds) {
  const HttpResponse response =
      served_.post(kInfer, request({tensor("text", "BYTES", {2}, {"tree", "car"}),
                                    tensor("boxes", "FP32", {2, 4}, {{2, 1, 9, 7}, {0, 0, 5, 5}}),
                                    tensor("box_labels", "INT32", {2}, {1, 0}),
                                    tensor("threshold", "FP32", {1}, {0.125})}));
  ASSERT_EQ(response.status, 200) << response.body;
  const ImageResult result =
      expected({{"tree", {kBox, kUnwanted}}, {"car", {kBox, kUnwanted}}}, 0.125);
  Json scores = Json::array();
  Json boxes = Json::array();
  Json labels = Json::array();
  Json masks = Json::array();
  for (size_t i = 0; i < 2; ++i) {
    for (const Instance& instance : result.prompts[i].instances) {
      scores.push_back(instance.score);
      for (const float side : instance.box) boxes.push_back(side);
      labels.push_back(i);
      masks.push_back(Json{{"size", {23, 40}}, {"counts", rle_to_string(instance.counts)}}.dump());
    }
  }
  ASSERT_GT(scores.size(), 0);
  const Json outputs = outputs_of(response);
  EXPECT_EQ(outputs.at("scores"), scores);
  EXPECT_EQ(outputs.at("boxes"), boxes);
  EXPECT_EQ(outputs.at("labels"), labels);
  EXPECT_EQ(outputs.at("rle"), masks);
}

TEST_F(KserveTest, BinaryTensorsComeAndGoAsTheyAreAskedFor) {
  const std::string image = element(file_);
  const std::string text = element("tree");
  const std::string threshold = bytes_of<float>({0.125F});
  const auto described = [](const std::string& name, const std::string& type,
                            const std::string& data) {
    return Json{{"name", name},
                {"datatype", type},
                {"shape", {1}},
                {"parameters", {{"binary_data_size", data.size()}}}};
  };
  const std::string header =
      Json{{"id", "7"},
           {"inputs",
            {described("image", "BYTES", image), described("text", "BYTES", text),
             described("threshold", "FP32", threshold)}},
           {"outputs",
            {{{"name", "labels"}, {"parameters", {{"binary_data", false}}}},
             {{"name", "rle"}, {"parameters", {{"binary_data", true}}}},
             {{"name", "scores"}, {"parameters", {{"binary_data", true}}}}}}}
          .dump();
  const HttpResponse response = served_.ask("POST", kInfer, header + image + text + threshold,
                                            kHeader, std::to_string(header.size()));
  ASSERT_EQ(response.status, 200) << response.body;
  ASSERT_THAT(response.headers, ElementsAre(testing::Pair(kHeader, testing::_)));
  const size_t size = std::stoul(response.headers[0].second);
  const Json answer = Json::parse(response.body.substr(0, size));
  EXPECT_EQ(answer.at("id"), "7");
  EXPECT_EQ(answer.at("model_name"), "sam3");
  const auto result = expected({{"tree", {}}}, 0.125);
  std::string masks;
  std::vector<float> scores;
  std::vector<int> labels;
  for (const Instance& instance : result.prompts[0].instances) {
    masks += element(Json{{"size", {23, 40}}, {"counts", rle_to_string(instance.counts)}}.dump());
    scores.push_back(instance.score);
    labels.push_back(0);
  }
  const Json outputs = answer.at("outputs");
  ASSERT_EQ(outputs.size(), 3);
  EXPECT_EQ(outputs[0].at("data"), Json(labels));
  EXPECT_EQ(outputs[1].at("parameters").at("binary_data_size"), masks.size());
  EXPECT_EQ(outputs[2].at("shape"), Json({labels.size()}));
  EXPECT_EQ(response.body.substr(size), masks + bytes_of(scores));
}

TEST_F(KserveTest, BoxesAloneAreAPrompt) {
  const HttpResponse response =
      served_.post(kInfer, request({tensor("boxes", "FP32", {1, 4}, {2, 1, 9, 7}),
                                    tensor("threshold", "FP32", {1}, {0})}));
  const auto result = expected({{std::nullopt, {kBox}}}, 0);
  EXPECT_EQ(outputs_of(response).at("labels"),
            Json(std::vector<int>(result.prompts[0].instances.size(), 0)));
}

TEST_F(KserveTest, NothingFoundIsEmptyTensors) {
  const HttpResponse response = served_.post(
      kInfer,
      request({tensor("text", "BYTES", {1}, {"tree"}), tensor("threshold", "FP32", {1}, {1})}));
  const Json outputs = Json::parse(response.body).at("outputs");
  EXPECT_EQ(outputs[0].at("shape"), Json({0}));
  EXPECT_EQ(outputs[1].at("shape"), Json({0, 4}));
  EXPECT_EQ(outputs[1].at("data"), Json::array());
}

TEST_F(KserveTest, MetadataDescribesTheModel) {
  for (const char* path : {"/v2/models/sam3", "/v2/models/sam3/versions/1"}) {
    const Json metadata = Json::parse(served_.ask("GET", path).body);
    EXPECT_EQ(metadata.at("name"), "sam3");
    EXPECT_EQ(metadata.at("versions"), Json({"1"}));
    EXPECT_EQ(metadata.at("inputs")[2],
              (Json{{"name", "boxes"}, {"datatype", "FP32"}, {"shape", {-1, 4}}}));
    EXPECT_EQ(metadata.at("outputs").size(), 4);
  }
  EXPECT_EQ(Json::parse(served_.ask("GET", "/v2").body).at("name"), "sam3trt");
  EXPECT_EQ(Json::parse(served_.ask("POST", "/v2/repository/index").body)[0].at("name"), "sam3");
}

TEST_F(KserveTest, HealthSaysThatItIsThere) {
  EXPECT_EQ(served_.ask("GET", "/v2/health/live").body, R"({"live":true})");
  EXPECT_EQ(served_.ask("GET", "/v2/models/sam3/ready").status, 200);
  served_.service().stop();
  EXPECT_EQ(served_.ask("GET", "/v2/health/live").status, 200);
  EXPECT_EQ(served_.ask("GET", "/v2/health/ready").status, 503);
  EXPECT_EQ(served_.ask("GET", "/v2/models/sam3/versions/1/ready").status, 503);
}

TEST_F(KserveTest, OtherModelsAndVersionsAreNotFound) {
  for (const char* path : {"/v2/models/sam2", "/v2/models/sam3/versions/2"}) {
    const HttpResponse response = served_.ask("GET", path);
    EXPECT_EQ(response.status, 404);
    EXPECT_THAT(Json::parse(response.body).at("error").get<std::string>(), HasSubstr("sam3"));
  }
  EXPECT_EQ(served_.ask("POST", "/v2/models/sam2/infer").status, 404);
}

TEST_F(KserveTest, WrongInputsAreNamed) {
  const Json text = tensor("text", "BYTES", {1}, {"tree"});
  EXPECT_THAT(error({{"inputs", {text}}}), HasSubstr("\"image\""));
  EXPECT_THAT(error(request()), HasSubstr("\"text\" or \"boxes\""));
  EXPECT_THAT(error(request({text, text})), HasSubstr("twice"));
  EXPECT_THAT(error(request({text, tensor("mask", "FP32", {1}, {1})})), HasSubstr("\"mask\""));
  EXPECT_THAT(error(request({tensor("text", "FP32", {1}, {1})})), HasSubstr("BYTES"));
  EXPECT_THAT(error(request({tensor("text", "INT64", {1}, {1})})), HasSubstr("INT64"));
  EXPECT_THAT(error(request({tensor("text", "BYTES", {2}, {"a"})})), HasSubstr("2 elements"));
  EXPECT_THAT(error(request({tensor("text", "BYTES", {1}, {3})})), HasSubstr("texts"));
  EXPECT_THAT(error(request({tensor("boxes", "FP32", {4}, {1, 2, 3, 4})})), HasSubstr("[-1,4]"));
  EXPECT_THAT(error(request({tensor("boxes", "FP32", {-1, 4}, {1, 2, 3, 4})})),
              HasSubstr("negative"));
  EXPECT_THAT(error(request({tensor("boxes", "FP32", {1LL << 40, 1LL << 40}, {1})})),
              HasSubstr("elements"));
  EXPECT_THAT(error(request({text, tensor("box_labels", "INT32", {1}, {1})})),
              HasSubstr("0 labels"));
  EXPECT_THAT(error(request({tensor("boxes", "FP32", {1, 4}, {1, 2, 3, 4}),
                             tensor("box_labels", "INT32", {1}, {2})})),
              HasSubstr("box_labels"));
  EXPECT_THAT(error(request({tensor("box_labels", "INT32", {1}, {0.5})})), HasSubstr("32 bits"));
  Json wanted = request({text});
  wanted["outputs"] = {{{"name", "masks"}}};
  EXPECT_THAT(error(wanted), HasSubstr("scores, boxes, labels, rle"));
  wanted["outputs"] = {{{"name", "rle"}, {"parameters", {{"shared_memory_region", "x"}}}}};
  EXPECT_THAT(error(wanted), HasSubstr("shared memory"));
  EXPECT_THAT(error({{"inputs", {tensor("image", "BYTES", {1}, {"Zm9v"}), text}}}, 415),
              HasSubstr("image"));
  EXPECT_THAT(error({{"inputs", {tensor("image", "BYTES", {1}, {"no base64!"}), text}}}),
              HasSubstr("base64"));
  EXPECT_THAT(error(Json::array()), HasSubstr("object"));
}

TEST_F(KserveTest, BinaryDataThatDoesNotFitIsRefused) {
  const auto status = [&](const Json& input, const std::string& data, const std::string& length) {
    const std::string header =
        Json{{"inputs", {input, tensor("text", "BYTES", {1}, {"tree"})}}}.dump();
    return served_
        .ask("POST", kInfer, header + data, kHeader,
             length.empty() ? std::to_string(header.size()) : length)
        .status;
  };
  const auto input = [](size_t size) {
    return Json{{"name", "image"},
                {"datatype", "BYTES"},
                {"shape", {1}},
                {"parameters", {{"binary_data_size", size}}}};
  };
  const std::string data = element("abc");
  EXPECT_EQ(status(input(7), data, ""), 415);
  EXPECT_EQ(status(input(8), data, ""), 400);
  EXPECT_EQ(status(input(6), data, ""), 400);
  EXPECT_EQ(status(input(3), data.substr(0, 3), ""), 400);
  EXPECT_EQ(status(input(7), data + "x", ""), 400);
  EXPECT_EQ(status(input(7), data, "100000"), 400);
  EXPECT_EQ(status(input(7), data, "-1"), 400);
  EXPECT_EQ(status(input(7), bytes_of<uint32_t>({0xFFFFFFFF}) + "abc", ""), 400);
  EXPECT_EQ(served_.ask("POST", kInfer, "not JSON").status, 400);
}

}  // namespace
}  // namespace sam3trt
