#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace sam3trt {
namespace {

class Files : public testing::Test {
 protected:
  Files() : folder_(std::filesystem::path(testing::TempDir()) / "sam3trt_files_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~Files() override { std::filesystem::remove_all(folder_); }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
};

TEST_F(Files, AtomicFileAppearsOnlyOnCommit) {
  const auto path = folder_ / "result.txt";
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "an abandoned file was left behind";
  AtomicFile file(path);
  file.write("whole");
  file.commit();
  EXPECT_EQ(read(path), "whole");
}

TEST_F(Files, AtomicFileKeepsTheOldContentUntilCommit) {
  const auto path = folder_ / "result.txt";
  std::ofstream(path) << "old";
  {
    AtomicFile file(path);
    file.write("new");
  }
  EXPECT_EQ(read(path), "old");
}

TEST_F(Files, AtomicFileInAMissingFolderNamesThePath) {
  try {
    const AtomicFile file(folder_ / "missing" / "x");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("missing/x: cannot be written"));
  }
}

TEST_F(Files, MappedFileShowsTheBytes) {
  std::ofstream(folder_ / "a") << "abc";
  const MappedFile file(folder_ / "a");
  ASSERT_EQ(file.bytes().size(), 3U);
  EXPECT_EQ(file.bytes()[2], std::byte{'c'});
}

TEST_F(Files, MappedFileRefusesFoldersAndMissingFiles) {
  EXPECT_THROW(MappedFile{folder_}, Error);
  EXPECT_THROW(MappedFile{folder_ / "none"}, Error);
}

TEST_F(Files, MappedFileRefusesANamedPipeWithoutWaiting) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(MappedFile{folder_ / "pipe"}, Error);
}

TEST_F(Files, EmptyFileMapsToNoBytes) {
  std::ofstream(folder_ / "empty").close();
  EXPECT_TRUE(MappedFile(folder_ / "empty").bytes().empty());
}

}  // namespace
}  // namespace sam3trt
