#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/tokenizer.hpp"

namespace sam3trt {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(SAM3TRT_TEST_DATA) / "text";

nlohmann::json read_goldens() {
  std::ifstream file(kFolder / "goldens.json");
  return nlohmann::json::parse(file);
}

std::string escaped(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', true); }

void expect_goldens(const Tokenizer& tokenizer) {
  const nlohmann::json goldens = read_goldens();
  ASSERT_GE(goldens["cases"].size(), 2000U);
  for (const auto& entry : goldens["cases"]) {
    const auto text = entry[0].get<std::string>();
    EXPECT_EQ(tokenizer.encode_plain(text, Semantics::kHf), entry[1].get<std::vector<int64_t>>())
        << escaped(text);
  }
}

TEST(TokenizerGoldens, TokenizerJsonGivesTheIdsOfClipTokenizerFast) {
  expect_goldens(Tokenizer::load(kFolder / "tokenizer.json"));
}

TEST(TokenizerGoldens, VocabularyAndMergesGiveTheSameIds) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "vocab_and_merges";
  std::filesystem::create_directories(folder);
  for (const char* name : {"vocab.json", "merges.txt"}) {
    std::filesystem::copy_file(kFolder / name, folder / name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  expect_goldens(Tokenizer::load(folder));
}

TEST(TokenizerGoldens, WrittenJsonGivesTheSameIdsAndTheSameBytes) {
  const std::string json = Tokenizer::load(kFolder).to_json();
  const Tokenizer again = Tokenizer::from_json(json, "written");
  expect_goldens(again);
  EXPECT_EQ(again.to_json(), json);
}

}  // namespace
}  // namespace sam3trt
