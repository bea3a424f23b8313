#include "text/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using Json = nlohmann::json;

const std::filesystem::path kFolder = std::filesystem::path(SAM3TRT_TEST_DATA) / "text";

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = Tokenizer::load(kFolder);
  return kTokenizer;
}

Json tokenizer_json() {
  std::ifstream file(kFolder / "tokenizer.json");
  return Json::parse(file);
}

/// The message of the error that `action` throws; a failed test when it throws none.
std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

std::string message_of_json(const Json& json) {
  return message_of([&] { (void)Tokenizer::from_json(json.dump(), "clip.json"); });
}

std::filesystem::path write_folder(const std::string& name, const std::string& vocab,
                                   const std::string& merges) {
  const auto folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vocab.json") << vocab;
  std::ofstream(folder / "merges.txt") << merges;
  return folder;
}

TEST(Tokenizer, PadsToTheContextLength) {
  const EncodedText text = tokenizer().encode("cat", 6, 77);
  const int64_t cat = tokenizer().encode_plain("cat").at(0);
  EXPECT_EQ(text.ids,
            (std::vector<int64_t>{tokenizer().bos_id(), cat, tokenizer().eos_id(), 77, 77, 77}));
  EXPECT_EQ(text.mask, (std::vector<float>{1, 1, 1, 0, 0, 0}));
}

TEST(Tokenizer, CutsLongTextsBeforeTheEndMark) {
  const std::string text = "a b c d e f g h";
  const std::vector<int64_t> plain = tokenizer().encode_plain(text);
  ASSERT_EQ(plain.size(), 8U);
  const EncodedText cut = tokenizer().encode(text, 5, 0);
  EXPECT_EQ(cut.ids, (std::vector<int64_t>{tokenizer().bos_id(), plain[0], plain[1], plain[2],
                                           tokenizer().eos_id()}));
  EXPECT_THAT(cut.mask, Each(1.0F));
}

TEST(Tokenizer, GivesOnlyTheMarksForEmptyText) {
  EXPECT_EQ(tokenizer().encode("", 3, 0).ids,
            (std::vector<int64_t>{tokenizer().bos_id(), tokenizer().eos_id(), 0}));
  EXPECT_TRUE(tokenizer().encode_plain(" \t\n").empty());
}

TEST(Tokenizer, RefusesAContextWithoutRoomForTheMarks) {
  EXPECT_THAT(message_of([] { (void)tokenizer().encode("cat", 1, 0); }),
              HasSubstr("at least 2 are needed"));
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  for (const char* text : {"\xFF", "a\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_THAT(message_of([&] { (void)tokenizer().encode_plain(text); }), HasSubstr("UTF-8"));
  }
}

TEST(Tokenizer, HandlesVeryLongTextsInLittleTime) {
  // A quadratic algorithm needs minutes for one word of 200 kB.
  const std::string word(200'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  const size_t count = tokenizer().encode_plain(word).size();
  EXPECT_GT(count, 0U);
  EXPECT_LE(count, word.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Tokenizer, RefusesTextsOfManyMegabytes) {
  const std::string text(size_t{5} << 20, 'a');
  EXPECT_THAT(message_of([&] { (void)tokenizer().encode_plain(text); }), HasSubstr("too long"));
}

TEST(Tokenizer, KeepsMarksInTheTextUnlessTheirCaseDiffers) {
  const int64_t eos = tokenizer().eos_id();
  EXPECT_THAT(tokenizer().encode_plain("<|endoftext|>"), testing::ElementsAre(eos));
  EXPECT_THAT(tokenizer().encode_plain("<|EndOfText|>"), Each(testing::Ne(eos)));
}

TEST(Tokenizer, LooksForNormalizedMarksAfterLowerCasing) {
  Json json = tokenizer_json();
  json["added_tokens"][0]["normalized"] = true;
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_THAT(other.encode_plain("<|StartOfText|>"), testing::ElementsAre(other.bos_id()));
  EXPECT_EQ(Tokenizer::from_json(other.to_json(), "written").to_json(), other.to_json());
}

TEST(Tokenizer, AcceptsMergesAsStrings) {
  Json json = tokenizer_json();
  for (Json& merge : json["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_EQ(other.encode_plain("two coffee cups"), tokenizer().encode_plain("two coffee cups"));
  EXPECT_EQ(other.to_json(), tokenizer().to_json());
}

TEST(Tokenizer, AcceptsAddedTokensBehindTheVocabulary) {
  Json json = tokenizer_json();
  const size_t next = json["model"]["vocab"].size();
  json["added_tokens"].push_back({{"id", next}, {"content", "<mask>"}, {"special", true}});
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_EQ(other.vocabulary_size(), next + 1);
  EXPECT_THAT(other.encode_plain("<mask>"), testing::ElementsAre(static_cast<int64_t>(next)));
  EXPECT_EQ(Tokenizer::from_json(other.to_json(), "written").vocabulary_size(), next + 1);
}

TEST(Tokenizer, UsesTheUnknownTokenForBytesTheVocabularyLacks) {
  const Json vocab = {{"a", 0}, {"a</w>", 1}, {"<|startoftext|>", 2}, {"<|endoftext|>", 3}};
  const Tokenizer other = Tokenizer::load(write_folder("unknown_bytes", vocab.dump(), ""));
  EXPECT_THAT(other.encode_plain("aba"), testing::ElementsAre(0, 3, 1));
}

TEST(TokenizerFiles, NameTheMissingFiles) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "no_tokenizer";
  std::filesystem::create_directories(folder);
  EXPECT_THAT(
      message_of([&] { (void)Tokenizer::load(folder); }),
      AllOf(HasSubstr("no_tokenizer"), HasSubstr("tokenizer.json"), HasSubstr("merges.txt")));
  EXPECT_THAT(message_of([&] { (void)Tokenizer::load(folder / "absent.json"); }),
              HasSubstr("absent.json"));
}

TEST(TokenizerFiles, RefuseWhatIsNoJson) {
  EXPECT_THAT(message_of([] { (void)Tokenizer::from_json("{\"model\":", "clip.json"); }),
              AllOf(HasSubstr("clip.json"), HasSubstr("not valid JSON")));
  EXPECT_THAT(message_of([] { (void)Tokenizer::from_json("[1]", "clip.json"); }),
              HasSubstr("no object \"model\""));
}

TEST(TokenizerFiles, RefuseOtherKindsOfTokenizersByName) {
  Json json = tokenizer_json();
  json["model"]["type"] = "WordPiece";
  json["model"]["byte_fallback"] = true;
  json["normalizer"] = {{"type", "BertNormalizer"}};
  json["pre_tokenizer"] = {{"type", "Whitespace"}};
  json["post_processor"] = {{"type", "TemplateProcessing"}};
  // One error tells them all.
  EXPECT_THAT(message_of_json(json),
              AllOf(HasSubstr("WordPiece"), HasSubstr("byte_fallback"), HasSubstr("BertNormalizer"),
                    HasSubstr("Whitespace"), HasSubstr("TemplateProcessing")));
}

TEST(TokenizerFiles, RefuseEachDeviationOfTheModel) {
  const std::vector<std::pair<const char*, Json>> changes = {{"continuing_subword_prefix", "##"},
                                                             {"end_of_word_suffix", ""},
                                                             {"dropout", 0.1},
                                                             {"fuse_unk", true},
                                                             {"ignore_merges", true}};
  for (const auto& [key, value] : changes) {
    Json json = tokenizer_json();
    json["model"][key] = value;
    EXPECT_THAT(message_of_json(json), HasSubstr(key));
  }
}

TEST(TokenizerFiles, RefuseIdsThatAreNotDense) {
  Json json = tokenizer_json();
  json["model"]["vocab"]["a"] = 1'000'000;
  json["model"]["vocab"]["b"] = -1;
  json["model"]["vocab"]["c"] = "7";
  json["model"]["vocab"]["d"] = json["model"]["vocab"]["e"];
  EXPECT_THAT(message_of_json(json), AllOf(HasSubstr("1000000"), HasSubstr("-1"),
                                           HasSubstr("\"7\""), HasSubstr("belongs to two tokens")));
}

TEST(TokenizerFiles, RefuseMergesOfUnknownTokens) {
  Json json = tokenizer_json();
  json["model"]["merges"][0] = {"a", "nosuchtoken"};
  json["model"]["merges"][1] = "a b c";
  json["model"]["merges"][2] = 5;
  EXPECT_THAT(message_of_json(json),
              AllOf(HasSubstr("\"nosuchtoken\""), HasSubstr("\"a b c\""), HasSubstr("is 5")));
}

TEST(TokenizerFiles, CutTheListOfProblems) {
  Json json = tokenizer_json();
  for (Json& merge : json["model"]["merges"]) merge = "x";
  const std::string message = message_of_json(json);
  EXPECT_THAT(message, HasSubstr("and more"));
  EXPECT_LT(message.size(), 2000U);
}

TEST(TokenizerFiles, RefuseAddedTokensThatDoNotFit) {
  const auto message_with = [](const Json& token) {
    Json json = tokenizer_json();
    json["added_tokens"].push_back(token);
    return message_of_json(json);
  };
  EXPECT_THAT(message_with({{"id", 3}, {"content", "<mask>"}}), HasSubstr("has the id 3"));
  EXPECT_THAT(message_with({{"id", 3}, {"content", ""}}), HasSubstr("no content"));
  EXPECT_THAT(message_with({{"id", 3}, {"content", "<mask>"}, {"lstrip", true}}),
              HasSubstr("lstrip"));
  EXPECT_THAT(message_with(7), HasSubstr("no content"));
}

TEST(TokenizerFiles, RefuseAVocabularyWithoutMarks) {
  Json json = tokenizer_json();
  json["post_processor"]["sep"] = {"<eos>", 1};
  EXPECT_THAT(message_of_json(json), HasSubstr("lacks the end mark \"<eos>\""));
}

TEST(TokenizerFiles, RefuseMissingBytesWithoutAnUnknownToken) {
  Json json = tokenizer_json();
  Json& vocab = json["model"]["vocab"];
  // The new name keeps the ids dense; no merge needs the byte 0x01.
  const std::string symbol = "\xC4\x81</w>";
  ASSERT_TRUE(vocab.contains(symbol));
  vocab["instead"] = vocab[symbol];
  vocab.erase(symbol);
  json["model"]["unk_token"] = nullptr;
  EXPECT_THAT(message_of_json(json), HasSubstr("lacks bytes"));
}

TEST(TokenizerFiles, NameTheMergesFile) {
  const Json vocab = {{"a", 0}, {"a</w>", 1}, {"<|startoftext|>", 2}, {"<|endoftext|>", 3}};
  EXPECT_THAT(
      message_of([&] {
        (void)Tokenizer::load(write_folder("bad_merges", vocab.dump(), "#version: 0.2\nab"));
      }),
      AllOf(HasSubstr("merges.txt"), HasSubstr("\"ab\"")));
}

}  // namespace
}  // namespace sam3trt
