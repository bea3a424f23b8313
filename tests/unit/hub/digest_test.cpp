#include "hub/digest.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"

namespace sam3trt {
namespace {

std::filesystem::path write(const std::string& name, const std::string& content) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(Digest, ReadsTheKindFromTheNumberOfDigits) {
  const std::string sha256(64, 'a');
  const std::string sha1(40, '0');
  EXPECT_EQ(digest_from_etag('"' + sha256 + '"'), (Digest{DigestKind::kSha256, sha256}));
  EXPECT_EQ(digest_from_etag(sha256), (Digest{DigestKind::kSha256, sha256}));
  EXPECT_EQ(digest_from_etag("W/\"" + sha1 + '"'), (Digest{DigestKind::kGitBlob, sha1}));
}

TEST(Digest, TakesNothingElseForADigest) {
  for (const std::string& etag :
       {std::string(), std::string("\""), std::string("W/"), std::string(64, 'g'),
        std::string(64, 'A'), std::string(63, 'a'), std::string(40, 'a') + "-gzip"}) {
    EXPECT_EQ(digest_from_etag(etag), Digest{}) << etag;
  }
}

TEST(Digest, OfAFileIsWhatSha256sumAndGitHashObjectSay) {
  const auto path = write("digest_hello", "hello\n");
  EXPECT_EQ(digest_of_file(path, DigestKind::kSha256).hex,
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
  EXPECT_EQ(digest_of_file(path, DigestKind::kGitBlob).hex,
            "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(digest_of_file(write("digest_empty", ""), DigestKind::kGitBlob).hex,
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(digest_of_file(path, DigestKind::kNone), Digest{});
}

TEST(Digest, NamesOfKindsAreReadBack) {
  for (const DigestKind kind : {DigestKind::kNone, DigestKind::kSha256, DigestKind::kGitBlob}) {
    EXPECT_EQ(digest_kind_of(name_of(kind)), kind);
  }
}

TEST(Digest, OfAMissingFileIsAnError) {
  EXPECT_THROW((void)digest_of_file("/nonexistent", DigestKind::kSha256), Error);
}

}  // namespace
}  // namespace sam3trt
