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
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using Json = nlohmann::json;

constexpr Semantics kHf = Semantics::kHf;
constexpr Semantics kMeta = Semantics::kMeta;

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
  const EncodedText text = tokenizer().encode("cat", 6, 77, kHf);
  const int64_t cat = tokenizer().encode_plain("cat", kHf).at(0);
  EXPECT_EQ(text.ids,
            (std::vector<int64_t>{tokenizer().bos_id(), cat, tokenizer().eos_id(), 77, 77, 77}));
  EXPECT_EQ(text.mask, (std::vector<float>{1, 1, 1, 0, 0, 0}));
}

TEST(Tokenizer, CutsLongTextsBeforeTheEndMarkUnderMetasSemantics) {
  const std::string text = "a b c Dog e f g h";
  const std::vector<int64_t> plain = tokenizer().encode_plain(text, kMeta);
  ASSERT_EQ(plain.size(), 8U);
  const EncodedText cut = tokenizer().encode(text, 5, 0, kMeta);
  EXPECT_EQ(cut.ids, (std::vector<int64_t>{tokenizer().bos_id(), plain[0], plain[1], plain[2],
                                           tokenizer().eos_id()}));
  EXPECT_THAT(cut.mask, Each(1.0F));
  EXPECT_EQ(cut.tokens, 10U);
  EXPECT_EQ(cut.cut_off, "dog e f g h");
  EXPECT_EQ(tokenizer().encode(text, 10, 0, kMeta).cut_off, "");
}

TEST(Tokenizer, RefusesLongTextsUnderHuggingFacesSemantics) {
  const std::string text = "a b c Dog e f g h";
  EXPECT_EQ(tokenizer().encode(text, 10, 0, kHf).tokens, 10U);
  EXPECT_THAT(message_of([&] { (void)tokenizer().encode(text, 9, 0, kHf); }),
              AllOf(HasSubstr("'a b c Dog e f g h' has 10 tokens"), HasSubstr("takes 9"),
                    HasSubstr("too much is 'h'")));
}

TEST(Tokenizer, MessagesCutTextsBetweenCharacters) {
  const std::string character = "\xE7\x8A\xAC";
  std::string text;
  for (int i = 0; i < 500; ++i) text += character;
  const std::string message = message_of([&] { (void)tokenizer().encode(text, 9, 0, kHf); });
  EXPECT_LT(message.size(), 700U);
  EXPECT_NO_THROW((void)tokenizer().encode_plain(message, kHf));  // it is UTF-8
  const EncodedText cut = tokenizer().encode(text, 9, 0, kMeta);
  EXPECT_NO_THROW((void)tokenizer().encode_plain(cut.cut_off, kHf));
}

TEST(Tokenizer, MetasMaskTakesEveryPaddingTokenForPadding) {
  // "!" without the end of a word is token 0, Meta's padding.
  const EncodedText meta = tokenizer().encode("!!!!!cat", 12, 0, kMeta);
  const EncodedText hf = tokenizer().encode("!!!!!cat", 12, 0, kHf);
  EXPECT_EQ(meta.ids, hf.ids);
  for (size_t i = 0; i < meta.ids.size(); ++i) {
    EXPECT_EQ(meta.mask[i], meta.ids[i] == 0 ? 0.0F : 1.0F);
    EXPECT_EQ(hf.mask[i], i < hf.tokens ? 1.0F : 0.0F);
  }
}

TEST(Tokenizer, CleansTextsUnderMetasSemanticsOnly) {
  const auto ids = [](const char* text, Semantics semantics) {
    return tokenizer().encode_plain(text, semantics);
  };
  const char* const pairs[][2] = {{"\xEF\xBC\xB2\xEF\xBC\xA5\xEF\xBC\xA4 circle", "RED circle"},
                                  {"red \xE2\x80\x99"
                                   "circle\xE2\x80\x99",
                                   "red 'circle'"},
                                  {"R&amp;D", "R&D"},
                                  {"caf\xC3\x83\xC2\xA9", "caf\xC3\xA9"}};
  for (const auto& [given, meant] : pairs) {
    EXPECT_EQ(ids(given, kMeta), ids(meant, kMeta)) << given;
    EXPECT_NE(ids(given, kHf), ids(meant, kHf)) << given;
  }
}

TEST(Tokenizer, EachSemanticsHasItsOwnMarksInTexts) {
  EXPECT_THAT(tokenizer().encode_plain("<end_of_text>", kMeta),
              testing::ElementsAre(tokenizer().eos_id()));
  EXPECT_THAT(tokenizer().encode_plain("<Start_Of_Text>", kMeta),
              testing::ElementsAre(tokenizer().bos_id()));
  EXPECT_THAT(tokenizer().encode_plain("<end_of_text>", kHf),
              Each(testing::Ne(tokenizer().eos_id())));
  EXPECT_THAT(tokenizer().encode_plain("<|endoftext|>", kMeta),
              Each(testing::Ne(tokenizer().eos_id())));
}

TEST(Tokenizer, CleaningTakesLittleTimeForAnyText) {
  std::string references(16'000, ' ');
  for (size_t i = 0; i + 4 <= references.size(); i += 4) references.replace(i, 4, "amp;");
  references[0] = '&';
  std::string mojibake;
  while (mojibake.size() < 15'000) mojibake += "\xC3\x83\xC6\x92\xC3\x82\xC2\xA9 ";
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& text : {references, mojibake, std::string(16'000, '&')}) {
    EXPECT_NO_THROW((void)tokenizer().encode_plain(text, kMeta));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  const std::string long_text((size_t{1} << 14) + 1, 'a');
  EXPECT_THAT(message_of([&] { (void)tokenizer().encode_plain(long_text, kMeta); }),
              HasSubstr("too long"));
}

TEST(Tokenizer, DecodesWhatItEncodes) {
  for (const char* text : {"a dog on the left", "caf\xC3\xA9", "r & d"}) {
    EXPECT_EQ(tokenizer().decode(tokenizer().encode_plain(text, kHf)), text);
  }
}

TEST(Tokenizer, GivesOnlyTheMarksForEmptyText) {
  EXPECT_EQ(tokenizer().encode("", 3, 0, kHf).ids,
            (std::vector<int64_t>{tokenizer().bos_id(), tokenizer().eos_id(), 0}));
  EXPECT_TRUE(tokenizer().encode_plain(" \t\n", kHf).empty());
}

TEST(Tokenizer, RefusesAContextWithoutRoomForTheMarks) {
  EXPECT_THAT(message_of([] { (void)tokenizer().encode("cat", 1, 0, kHf); }),
              HasSubstr("at least 2 are needed"));
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  for (const char* text : {"\xFF", "a\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_THAT(message_of([&] { (void)tokenizer().encode_plain(text, kHf); }), HasSubstr("UTF-8"));
  }
}

TEST(Tokenizer, HandlesVeryLongTextsInLittleTime) {
  // A quadratic algorithm needs minutes for one word of 200 kB.
  const std::string word(200'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  const size_t count = tokenizer().encode_plain(word, kHf).size();
  EXPECT_GT(count, 0U);
  EXPECT_LE(count, word.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Tokenizer, RefusesTextsOfManyMegabytes) {
  const std::string text(size_t{5} << 20, 'a');
  EXPECT_THAT(message_of([&] { (void)tokenizer().encode_plain(text, kHf); }),
              HasSubstr("too long"));
}

TEST(Tokenizer, KeepsMarksInTheTextUnlessTheirCaseDiffers) {
  const int64_t eos = tokenizer().eos_id();
  EXPECT_THAT(tokenizer().encode_plain("<|endoftext|>", kHf), testing::ElementsAre(eos));
  EXPECT_THAT(tokenizer().encode_plain("<|EndOfText|>", kHf), Each(testing::Ne(eos)));
}

TEST(Tokenizer, LooksForNormalizedMarksAfterLowerCasing) {
  Json json = tokenizer_json();
  json["added_tokens"][0]["normalized"] = true;
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_THAT(other.encode_plain("<|StartOfText|>", kHf), testing::ElementsAre(other.bos_id()));
  EXPECT_EQ(Tokenizer::from_json(other.to_json(), "written").to_json(), other.to_json());
}

TEST(Tokenizer, AcceptsMergesAsStrings) {
  Json json = tokenizer_json();
  for (Json& merge : json["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_EQ(other.encode_plain("two coffee cups", kHf),
            tokenizer().encode_plain("two coffee cups", kHf));
  EXPECT_EQ(other.to_json(), tokenizer().to_json());
}

TEST(Tokenizer, AcceptsAddedTokensBehindTheVocabulary) {
  Json json = tokenizer_json();
  const size_t next = json["model"]["vocab"].size();
  json["added_tokens"].push_back({{"id", next}, {"content", "<mask>"}, {"special", true}});
  const Tokenizer other = Tokenizer::from_json(json.dump(), "clip.json");
  EXPECT_EQ(other.vocabulary_size(), next + 1);
  EXPECT_THAT(other.encode_plain("<mask>", kHf), testing::ElementsAre(static_cast<int64_t>(next)));
  EXPECT_EQ(Tokenizer::from_json(other.to_json(), "written").vocabulary_size(), next + 1);
}

TEST(Tokenizer, UsesTheUnknownTokenForBytesTheVocabularyLacks) {
  const Json vocab = {{"a", 0}, {"a</w>", 1}, {"<|startoftext|>", 2}, {"<|endoftext|>", 3}};
  const Tokenizer other = Tokenizer::load(write_folder("unknown_bytes", vocab.dump(), ""));
  EXPECT_THAT(other.encode_plain("aba", kHf), testing::ElementsAre(0, 3, 1));
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

TEST(Tokenizer, APathThatTheSystemRefusesIsAnErrorOfThisLibrary) {
  for (const std::string& path : {std::string(300, 'x'), std::string("/nonexistent/tokenizer.json"),
                                  std::string("/dev/null/tokenizer.json")}) {
    EXPECT_THROW((void)Tokenizer::load(path), Error) << path;
  }
}

TEST(InQuotes, ShowsControlCharactersAndCutsLongTexts) {
  using namespace std::string_literals;
  EXPECT_EQ(in_quotes("a dog's \xC3\xA9"), "'a dog's \xC3\xA9'");
  EXPECT_EQ(in_quotes("a\0b\n\x7F"s), "'a\\x00b\\x0a\\x7f'");
  const std::string cut = in_quotes(std::string(199, 'a') + "\xC3\xA9\xC3\xA9");
  EXPECT_EQ(cut, "'" + std::string(199, 'a') + "...'");
}

}  // namespace
}  // namespace sam3trt
