#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/meta_text.hpp"
#include "text/tokenizer.hpp"
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kFolder = std::filesystem::path(SAM3TRT_TEST_DATA) / "text";

const Json& goldens() {
  static const Json kGoldens = [] {
    std::ifstream file(kFolder / "meta" / "goldens.json");
    return Json::parse(file);
  }();
  return kGoldens;
}

std::string escaped(const std::string& text) { return Json(text).dump(-1, ' ', true); }

std::string cleaned_by_meta(const Json& entry) {
  return (entry[1].is_null() ? entry[0] : entry[1]).get<std::string>();
}

void expect_goldens(const Tokenizer& tokenizer) {
  ASSERT_GE(goldens()["cases"].size(), 5000U);
  EXPECT_EQ(tokenizer.bos_id(), goldens()["marks"][0]);
  EXPECT_EQ(tokenizer.eos_id(), goldens()["marks"][1]);
  for (const Json& entry : goldens()["cases"]) {
    const auto text = entry[0].get<std::string>();
    EXPECT_EQ(tokenizer.encode_plain(text, Semantics::kMeta), entry[2].get<std::vector<int64_t>>())
        << escaped(text);
  }
}

TEST(MetaText, IsCleanedAsMetasTokenizerDoes) {
  ASSERT_GE(goldens()["cases"].size(), 5000U);
  for (const Json& entry : goldens()["cases"]) {
    const auto text = entry[0].get<std::string>();
    EXPECT_EQ(escaped(clean_meta_text(text)), escaped(cleaned_by_meta(entry))) << escaped(text);
  }
}

TEST(MetaText, GetsTheIdsOfMetasTokenizer) {
  expect_goldens(Tokenizer::load(kFolder / "meta" / "bpe_simple_vocab_16e6.txt.gz"));
}

TEST(MetaText, GetsTheSameIdsFromATokenizerJson) {
  expect_goldens(Tokenizer::load(kFolder / "tokenizer.json"));
}

}  // namespace
}  // namespace sam3trt
