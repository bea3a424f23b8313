#include "base/foreign_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

ForeignContent content_of(const std::string& text) {
  return foreign_content(std::as_bytes(std::span(text)));
}

std::string sentence_of(const std::string& text) {
  return describe(content_of(text), std::as_bytes(std::span(text)));
}

TEST(ForeignFile, TellsWhatStandsInPlaceOfAFile) {
  EXPECT_EQ(content_of(""), ForeignContent::kEmpty);
  EXPECT_EQ(content_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
            ForeignContent::kGitLfsPointer);
  EXPECT_EQ(content_of("version https://hawser.github.com/spec/v1\n"),
            ForeignContent::kGitLfsPointer);
  for (const char* page :
       {"<!DOCTYPE html><html>", "<html lang=en>", "\n  <HTML>", "\xEF\xBB\xBF<!doctype HTML>",
        "<!-- a --><html>", "<?xml version=\"1.0\"?><html xmlns=\"x\">"}) {
    EXPECT_EQ(content_of(page), ForeignContent::kWebPage) << page;
  }
  for (const char* answer :
       {"{\"error\":\"Access to model facebook/sam3 is restricted\"}", "{ \"detail\": \"x\"}",
        "{\"message\":\"Not Found\"}", "{\"statusCode\":401}", "<Error><Code>AccessDenied</Code>",
        "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>"}) {
    EXPECT_EQ(content_of(answer), ForeignContent::kErrorAnswer) << answer;
  }
}

TEST(ForeignFile, FilesOfAModelAreNotTakenForIt) {
  for (const char* text :
       {"{\"model_type\": \"sam3\"}", "{}", "{", "{\"", "[\"error\"]", "{\"a\": \"error\"}",
        "#version: 0.2\ni n\n", "version https://example.org\n", "<", "<|startoftext|>",
        "<!-- a comment -->", "<?xml version=\"1.0\"?><svg>"}) {
    EXPECT_EQ(content_of(text), ForeignContent::kNone) << text;
  }
  EXPECT_EQ(content_of(std::string("\0\0\0", 3)), ForeignContent::kNone);
  EXPECT_EQ(sentence_of("{}"), "");
}

TEST(ForeignFile, SentencesNameTheWayOut) {
  EXPECT_THAT(sentence_of(""), StartsWith("is empty"));
  EXPECT_THAT(sentence_of("version https://git-lfs.github.com/spec/v1\n"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(sentence_of("<html>"), HasSubstr("sign-in page"));
  EXPECT_THAT(sentence_of("{\"error\":\"restricted\x1b[31m\"}"),
              HasSubstr("({\"error\":\"restricted [31m\"})"));
  EXPECT_LT(sentence_of("{\"error\":\"" + std::string(5000, 'x') + "\"}").size(), 400U);
}

TEST(ForeignFile, AFileIsRefusedByNameAndAMissingOneIsNot) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("sam3trt_foreign_" + std::to_string(::getpid()) + ".json");
  EXPECT_NO_THROW(refuse_foreign_file(path));
  std::ofstream(path) << "<!doctype html>";
  try {
    refuse_foreign_file(path);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), StartsWith(path.string() + ": is a web page"));
  }
  std::ofstream(path) << "{}";
  EXPECT_NO_THROW(refuse_foreign_file(path));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace sam3trt
