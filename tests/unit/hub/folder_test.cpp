#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "hub/download_record.hpp"
#include "hub/part_file.hpp"
#include "hub/repository.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

std::filesystem::path fresh_folder(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PlainFileName, StaysInItsFolder) {
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors", "A_b"}) {
    EXPECT_TRUE(is_plain_file_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".hidden"),
        std::string("a/b"), std::string("a\\b"), std::string("/etc/passwd"), std::string("a b"),
        std::string("a\0b", 3), std::string("caf\xc3\xa9"), std::string(201, 'a')}) {
    EXPECT_FALSE(is_plain_file_name(name)) << name;
  }
}

TEST(DownloadRecord, IsReadBackAsWritten) {
  const auto folder = fresh_folder("manifest_round_trip");
  const RecordedFile file{"config.json", 3, {DigestKind::kSha256, std::string(64, 'a')}};
  write_download_record(folder, {"owner/name", "main", "pt", "c0ffee", {file}});
  const auto record = read_download_record(folder);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->repo, "owner/name");
  EXPECT_EQ(record->revision, "main");
  EXPECT_EQ(record->weights, "pt");
  EXPECT_EQ(record->commit, "c0ffee");
  ASSERT_EQ(record->files.size(), 1U);
  EXPECT_EQ(record->files[0].name, file.name);
  EXPECT_EQ(record->files[0].size, file.size);
  EXPECT_EQ(record->files[0].digest, file.digest);
}

TEST(DownloadRecord, ThatCannotBeUsedCountsAsNone) {
  const auto folder = fresh_folder("manifest_bad");
  EXPECT_FALSE(read_download_record(folder));
  const std::string head = R"({"repo": "a/b", "revision": "m", "weights": "pt", "commit": "c", )";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{"), head + R"("files": 3})",
        head + R"("files": [{"name": "../x", "size": 1, "digest_kind": "none", "digest": ""}]})",
        head + R"("files": [{"name": "x", "size": "1", "digest_kind": "none", "digest": ""}]})",
        std::string(100'000, '[')}) {
    write(folder / ".sam3trt_download.json", text);
    EXPECT_FALSE(read_download_record(folder)) << text;
  }
}

TEST(DownloadRecord, TellsIntactFilesFromChangedOnes) {
  const auto folder = fresh_folder("manifest_intact");
  write(folder / "x", "hello\n");
  const RecordedFile file{
      "x", 6, {DigestKind::kGitBlob, "ce013625030ba8dba906f756967f9e9ca394464a"}};
  EXPECT_TRUE(is_intact(folder, file));
  write(folder / "x", "hellO\n");
  EXPECT_FALSE(is_intact(folder, file));
  write(folder / "x", "hello\n\n");
  EXPECT_FALSE(is_intact(folder, file));
  std::filesystem::remove(folder / "x");
  EXPECT_FALSE(is_intact(folder, file));
  std::filesystem::create_directory(folder / "x");
  EXPECT_FALSE(is_intact(folder, file));
}

TEST(PartFile, GoesOnWhereItEndedAndGetsItsNameOnCommit) {
  const auto folder = fresh_folder("part_goes_on");
  {
    PartFile part(folder / "x");
    part.append(bytes_of("first "));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  PartFile part(folder / "x");
  EXPECT_EQ(part.size(), 6U);
  part.append(bytes_of("second"));
  part.commit();
  EXPECT_EQ(read(folder / "x"), "first second");
  EXPECT_FALSE(std::filesystem::exists(folder / "x.part"));
}

TEST(PartFile, CanBeClearedAndDiscarded) {
  const auto folder = fresh_folder("part_clear");
  PartFile part(folder / "x");
  part.append(bytes_of("wrong"));
  part.clear();
  EXPECT_EQ(part.size(), 0U);
  part.append(bytes_of("right"));
  EXPECT_EQ(read(folder / "x.part"), "right");
  part.discard();
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(PartFile, HasOneWriter) {
  const auto folder = fresh_folder("part_lock");
  const PartFile first(folder / "x");
  EXPECT_THAT(error_of([&] { PartFile second(folder / "x"); }),
              HasSubstr("another download is writing it"));
}

TEST(PartFile, DoesNotFollowLinksOrWriteIntoFolders) {
  const auto folder = fresh_folder("part_link");
  write(folder / "target", "precious");
  std::filesystem::create_symlink(folder / "target", folder / "x.part");
  EXPECT_THAT(error_of([&] { PartFile part(folder / "x"); }), HasSubstr("cannot be written"));
  EXPECT_EQ(read(folder / "target"), "precious");
  EXPECT_THAT(error_of([&] { PartFile part(folder / "none" / "x"); }), HasSubstr("make it first"));
}

}  // namespace
}  // namespace sam3trt
