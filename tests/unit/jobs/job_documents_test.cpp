#include "jobs/job_documents.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

ImageResult image_with(const std::string& path, std::vector<PromptResult> prompts) {
  ImageResult image;
  image.path = path;
  image.width = 3;
  image.height = 2;
  image.prompts = std::move(prompts);
  return image;
}

PromptResult found(const Prompt& prompt, size_t instances) {
  PromptResult result{prompt, 0.5F, {}};
  for (size_t i = 0; i < instances; ++i) {
    result.instances.push_back({0.9F, 7, {0.5F, 0, 2, 2}, 2, {2, 2, 2}});
  }
  return result;
}

ImageResult broken(const std::string& path) {
  ImageResult image;
  image.path = path;
  image.error = path + ": truncated";
  return image;
}

/// What a writer of documents makes of some images.
class JobDocuments : public testing::Test {
 protected:
  JobDocuments() : lines_(std::filesystem::path()) {}

  void add(const ImageResult& image) { lines_.add(to_json_line(header_, image, FileStamp{1, 2})); }

  [[nodiscard]] std::string json() const {
    std::string text;
    write_json_document(header_, lines_, [&](std::string_view some) { text += some; });
    return text;
  }

  [[nodiscard]] Json coco(const std::vector<Prompt>& prompts) const {
    std::string text;
    write_coco_document(prompts, lines_, [&](std::string_view some) { text += some; });
    return Json::parse(text);
  }

  RunHeader header_{"openvino", Semantics::kMeta, {}};
  ResultLines lines_;
};

const Prompt kDog{"dog", {}};

TEST_F(JobDocuments, JsonHasTheFormOfTheInterface) {
  add(image_with("street.jpg", {found(kDog, 1)}));
  add(broken("b.jpg"));
  const auto expected = Json::parse(R"({"version": 1, "backend": "openvino", "semantics": "meta",
      "images": [{"path": "street.jpg", "width": 3, "height": 2,
        "prompts": [{"text": "dog", "boxes": [], "box_labels": [], "presence": 0.5,
          "instances": [{"score": 0.9, "box": [0.5, 0.0, 2.0, 2.0], "area": 2,
                         "mask": {"size": [2, 3], "counts": "222"}}]}],
        "timings_ms": {"decode": 0.0, "preprocess": 0.0, "vision_encoder": 0.0,
                       "detector": 0.0, "postprocess": 0.0}},
        {"path": "b.jpg", "error": "b.jpg: truncated"}]})");
  // As text: the order of the keys, digits and indentation count.
  EXPECT_EQ(json(), expected.dump(1) + "\n");
}

TEST_F(JobDocuments, JsonOfNoImagesHasAnEmptyList) {
  EXPECT_EQ(Json::parse(json()).dump(),
            R"({"version":1,"backend":"openvino","semantics":"meta","images":[]})");
}

TEST_F(JobDocuments, JsonSaysThatEnginesAreUnverified) {
  header_.unverified = {{"detector", "failed"}};
  add(image_with("a", {found(kDog, 0)}));
  const Json document = Json::parse(json());
  EXPECT_EQ(document["verified"], false);
  EXPECT_EQ(document["unverified"]["detector"], "failed");
  EXPECT_FALSE(document["images"][0].contains("verified"));
}

TEST_F(JobDocuments, CocoNumbersImagesAnnotationsAndCategories) {
  const Prompt cat{"cat", {}};
  const Prompt boxes{std::nullopt, {{{0, 0, 1, 1}, true}}};
  const Prompt dog_with_box{"dog", {{{0, 0, 1, 1}, true}}};
  add(broken("b.jpg"));
  add(image_with("a.jpg", {found(kDog, 1), found(cat, 0), found(boxes, 1), found(kDog, 1)}));
  add(image_with("c.jpg", {found(kDog, 0), found(cat, 2), found(boxes, 0), found(kDog, 0)}));
  const Json document = coco({kDog, cat, boxes, dog_with_box});
  EXPECT_EQ(document["categories"].dump(),
            R"([{"id":1,"name":"dog"},{"id":2,"name":"cat"},{"id":3,"name":"visual"}])");
  EXPECT_EQ(document["images"].dump(), R"([{"id":1,"file_name":"a.jpg","width":3,"height":2},)"
                                       R"({"id":2,"file_name":"c.jpg","width":3,"height":2}])");
  EXPECT_EQ(document["errors"].dump(), R"([{"file_name":"b.jpg","error":"b.jpg: truncated"}])");
  std::vector<std::array<int, 3>> ids;
  for (const Json& annotation : document["annotations"]) {
    ids.push_back({annotation["id"], annotation["image_id"], annotation["category_id"]});
  }
  const std::vector<std::array<int, 3>> expected = {
      {1, 1, 1}, {2, 1, 3}, {3, 1, 1}, {4, 2, 2}, {5, 2, 2}};
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(document["annotations"][0]["bbox"].dump(), "[0.5,0.0,1.5,2.0]");
  EXPECT_EQ(document["annotations"][0]["segmentation"].dump(), R"({"size":[2,3],"counts":"222"})");
}

}  // namespace
}  // namespace sam3trt
