#include "components/components.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <sstream>

namespace sam3trt {
namespace {

using ::testing::ElementsAre;

std::string read_document() {
  const std::ifstream file(SAM3TRT_SOURCE_DIR "/docs/graphs.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// "name int64 [P,L]" for each tensor of a cell such as "`input_ids` int64 [P,L]".
std::vector<std::string> tensors_of(const std::string& cell) {
  static const std::regex tensor("`(\\w+)`( int64)? \\[([^\\]]+)\\]");
  std::vector<std::string> found;
  for (std::sregex_iterator at(cell.begin(), cell.end(), tensor), end; at != end; ++at) {
    found.push_back((*at)[1].str() + (*at)[2].str() + " [" + (*at)[3].str() + "]");
  }
  return found;
}

std::vector<std::string> tensors_of(const std::vector<ComponentTensor>& tensors) {
  std::vector<std::string> found;
  for (const ComponentTensor& tensor : tensors) {
    found.push_back(std::string(tensor.name) + (tensor.dtype == DType::kI64 ? " int64" : "") +
                    " [" + std::string(tensor.shape) + "]");
  }
  return found;
}

TEST(Components, AreThoseOfTheDocumentTensorByTensor) {
  const std::string document = read_document();
  for (const ComponentInfo& info : components()) {
    const std::regex row("\n\\| `" + std::string(info.name) + "` \\| ([^|]+) \\| ([^|]+) \\|\n");
    std::smatch match;
    ASSERT_TRUE(std::regex_search(document, match, row)) << info.name;
    EXPECT_EQ(tensors_of(info.inputs), tensors_of(match[1].str())) << info.name;
    EXPECT_EQ(tensors_of(info.outputs), tensors_of(match[2].str())) << info.name;
  }
  const std::regex any_row("\n\\| `\\w+` \\| [^|]+\\[[^|]+ \\| [^|]+\\[[^|]+ \\|");
  const auto rows = std::distance(std::sregex_iterator(document.begin(), document.end(), any_row),
                                  std::sregex_iterator());
  EXPECT_EQ(static_cast<size_t>(rows), components().size());
}

TEST(Components, StandInTheOrderOfTheEnumeration) {
  for (size_t i = 0; i < components().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(components()[i].id), i);
    EXPECT_EQ(component_named(components()[i].name), components()[i].id);
  }
  EXPECT_EQ(component_named("decoder"), std::nullopt);
}

TEST(Components, EachTensorHasOneProducerThatComesBeforeItsConsumers) {
  for (const Connection& connection : connections()) {
    EXPECT_LT(connection.from, connection.to) << connection.tensor;
  }
  EXPECT_EQ(producer_of("query_features"), Component::kDetector);
  EXPECT_EQ(producer_of("image_index"), std::nullopt);
}

TEST(Components, AnInputTellsHowManyGoThroughAtOnce) {
  EXPECT_EQ(input_counting(Component::kSamDecoder, "O"), "feature_index");
  EXPECT_EQ(input_counting(Component::kVisionEncoder, "B"), "pixel_values");
  EXPECT_EQ(input_counting(Component::kTrackerNeck, "O"), std::nullopt);
}

TEST(Components, OnlyPointersMayBeNone) {
  EXPECT_TRUE(may_be_empty("memory_pointers", 1));
  EXPECT_TRUE(may_be_empty("pointer_time", 1));
  EXPECT_FALSE(may_be_empty("memory_pointers", 0));
  EXPECT_FALSE(may_be_empty("memory_pointers", 2));
  EXPECT_FALSE(may_be_empty("memory_features", 1));
  EXPECT_FALSE(may_be_empty("x", 0));
}

TEST(Components, ObjectFeaturesComeFromTheNeckAndFromTheMemory) {
  std::vector<Component> from;
  for (const Connection& connection : connections()) {
    if (connection.tensor == "object_features") from.push_back(connection.from);
  }
  EXPECT_THAT(from, ElementsAre(Component::kTrackerNeck, Component::kMemoryAttention));
  EXPECT_TRUE(serves(Component::kSamDecoder, Task::kInteract));
  EXPECT_FALSE(serves(Component::kSamDecoder, Task::kDetect));
  EXPECT_FALSE(serves(Component::kMemoryEncoder, Task::kInteract));
}

TEST(Components, PartsOfTheDetectorLieBesideItAndAreNamedAfterIt) {
  EXPECT_THAT(
      components_beside(Component::kDetector),
      ElementsAre(Component::kTextEncoder, Component::kGeometryEncoder, Component::kMaskHead));
  EXPECT_EQ(path_beside("out/d.v2.onnx", Component::kMaskHead), "out/d.v2.mask_head.onnx");
  EXPECT_EQ(tokenizer_beside("out/d.engine"), "out/d.tokenizer.json");
}

}  // namespace
}  // namespace sam3trt
