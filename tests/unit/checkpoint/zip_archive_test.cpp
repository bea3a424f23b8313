#include "checkpoint/zip_archive.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "file_builders.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using namespace testing_files;
using Entry = ZipBuilder::Entry;

std::string zip_error(const std::string& file) {
  return error_of([&] { static_cast<void>(parse_zip(as_bytes(file), "f.pt")); });
}

std::string text_of(const ZipEntry* entry) {
  if (entry == nullptr) return "none";
  return {reinterpret_cast<const char*>(entry->bytes.data()), entry->bytes.size()};
}

TEST(ZipArchive, FindsStoredEntries) {
  for (const bool zip64 : {false, true}) {
    const std::string file = ZipBuilder().add("a/b", "hello").add("empty", "").build(zip64);
    const auto entries = parse_zip(as_bytes(file), "f.pt");
    ASSERT_EQ(entries.size(), 2U) << zip64;
    EXPECT_EQ(text_of(find_entry(entries, "a/b")), "hello");
    EXPECT_EQ(text_of(find_entry(entries, "empty")), "");
    EXPECT_EQ(text_of(find_entry(entries, "a")), "none");
  }
}

TEST(ZipArchive, ACommentAfterTheEndIsAllowed) {
  std::string file = ZipBuilder().add("a", "1").build();
  file[file.size() - 2] = 5;
  EXPECT_EQ(text_of(find_entry(parse_zip(as_bytes(file + "hello"), "f.pt"), "a")), "1");
  EXPECT_THAT(zip_error(file + "hell"), HasSubstr("no end record"));
}

TEST(ZipArchive, PathNamesAreOnlyNames) {
  const std::string file = ZipBuilder().add("../../etc/passwd", "x").add("/abs", "y").build();
  const auto entries = parse_zip(as_bytes(file), "f.pt");
  EXPECT_EQ(text_of(find_entry(entries, "../../etc/passwd")), "x");
  EXPECT_EQ(text_of(find_entry(entries, "/abs")), "y");
}

TEST(ZipArchive, CompressedEntriesAreRefusedWithTheWayOut) {
  const std::string file = ZipBuilder().add(Entry{"a", "12", 8}).build();
  EXPECT_THAT(zip_error(file), HasSubstr("f.pt: zip entry \"a\" is compressed; torch.save stores "
                                         "entries uncompressed, so save the file again"));
}

TEST(ZipArchive, EncryptedEntriesAreRefused) {
  EXPECT_THAT(zip_error(ZipBuilder().add(Entry{"a", "12", 0, 1}).build()),
              HasSubstr("is encrypted"));
}

TEST(ZipArchive, SizesBeyondTheFileAreRefused) {
  for (const uint64_t size : {uint64_t{100000}, uint64_t{1} << 62U, UINT64_MAX - 1}) {
    Entry entry{"a", "12"};
    entry.claimed_size = size;
    EXPECT_THAT(zip_error(ZipBuilder().add(entry).build(true)),
                HasSubstr("zip entry \"a\" of " + std::to_string(size) + " bytes ends outside"));
  }
}

TEST(ZipArchive, OffsetsBeyondTheFileAreRefused) {
  for (const uint64_t offset : {uint64_t{100000}, uint64_t{1} << 62U, UINT64_MAX - 1}) {
    Entry entry{"a", "12"};
    entry.claimed_offset = offset;
    EXPECT_THAT(zip_error(ZipBuilder().add(entry).build(true)), HasSubstr("ends outside the file"));
  }
}

TEST(ZipArchive, OverlappingEntriesAreRefused) {
  // A zip bomb lets many directory entries share one stretch of data.
  Entry second{"b", "34"};
  second.claimed_offset = 0;
  second.local_name = "a";
  second.name = "a";
  EXPECT_THAT(zip_error(ZipBuilder().add("a", "12").add(second).build()), HasSubstr("overlap"));
}

TEST(ZipArchive, DuplicateNamesAreRefused) {
  EXPECT_THAT(zip_error(ZipBuilder().add("a", "1").add("a", "2").build()),
              HasSubstr("zip entry \"a\" appears twice"));
}

TEST(ZipArchive, NamesInHeaderAndDirectoryMustAgree) {
  Entry entry{"a", "1"};
  entry.local_name = "b";
  EXPECT_THAT(zip_error(ZipBuilder().add(entry).build()), HasSubstr("another name in its header"));
}

TEST(ZipArchive, AWrongEntryCountIsRefused) {
  std::string file = ZipBuilder().add("a", "1").build();
  file[file.size() - 12] = 2;
  EXPECT_THAT(zip_error(file), HasSubstr("directory is too small for 2 entries"));
  file[file.size() - 12] = static_cast<char>(0xFF);
  file[file.size() - 11] = static_cast<char>(0xFF);
  EXPECT_THAT(zip_error(file), HasSubstr("zip64 end record is missing"));
}

TEST(ZipArchive, ANonZipIsRefused) {
  EXPECT_THAT(zip_error(""), HasSubstr("is a damaged torch zip file: it is too short"));
  EXPECT_THAT(zip_error(std::string(100, 'x')), HasSubstr("no end record"));
}

TEST(ZipArchive, EveryCutFileIsRefused) {
  for (const bool zip64 : {false, true}) {
    const std::string file = ZipBuilder().add("a", "hello").add("b", "").build(zip64);
    for (size_t size = 0; size < file.size(); ++size) {
      EXPECT_NE(zip_error(file.substr(0, size)), "no error") << size;
    }
  }
}

}  // namespace
}  // namespace sam3trt
