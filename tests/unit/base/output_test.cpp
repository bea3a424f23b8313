#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/output_check.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

/// A folder of its own for each test: folders are swept once per process.
class Outputs : public testing::Test {
 protected:
  Outputs() {
    std::string name = (fs::path(testing::TempDir()) / "sam3trt_outputs.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Outputs() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  static void put(const fs::path& path, const std::string& text = "old") {
    std::ofstream(path, std::ios::binary) << text;
  }

  static void write(const fs::path& path, const std::string& text = "new") {
    AtomicFile file(path);
    file.write(text);
    file.commit();
  }

  static mode_t mode_of(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
  }

  [[nodiscard]] size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  static void expect_refused(const std::function<void()>& action,
                             const testing::Matcher<std::string>& message) {
    try {
      action();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(std::string(error.what()), message);
    }
  }

  fs::path folder_;
};

TEST_F(Outputs, FollowLinksAndKeepThem) {
  fs::create_directory(folder_ / "far");
  put(folder_ / "far/file");
  fs::create_symlink("far/file", folder_ / "near");
  fs::create_symlink("near", folder_ / "nearer");
  write(folder_ / "nearer");
  EXPECT_TRUE(fs::is_symlink(folder_ / "nearer"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "near"));
  EXPECT_EQ(read(folder_ / "far/file"), "new");
}

TEST_F(Outputs, MakeTheTargetOfADanglingLink) {
  fs::create_symlink("target", folder_ / "link");
  write(folder_ / "link");
  EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
  EXPECT_EQ(read(folder_ / "target"), "new");
}

TEST_F(Outputs, RefuseLinksInACircle) {
  fs::create_symlink("b", folder_ / "a");
  fs::create_symlink("a", folder_ / "b");
  expect_refused([&] { write(folder_ / "a"); }, HasSubstr("cannot be written"));
  EXPECT_TRUE(fs::is_symlink(folder_ / "a"));
}

TEST_F(Outputs, AreWrittenThroughAPipe) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = read(pipe); });
  write(pipe, "through");
  reader.join();
  EXPECT_EQ(received, "through");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(Outputs, AreWrittenThroughADevice) {
  write("/dev/null");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  fs::create_symlink("/dev/null", folder_ / "null");
  write(folder_ / "null");
  EXPECT_TRUE(fs::is_symlink(folder_ / "null"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(Outputs, NamedByAnOpenFileAreAppendedToIt) {
  const fs::path path = folder_ / "log";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "before ", 7), 7);
  write("/dev/fd/" + std::to_string(fd), "between ");
  ASSERT_EQ(::write(fd, "after", 5), 5);
  ::close(fd);
  EXPECT_EQ(read(path), "before between after");
}

TEST_F(Outputs, ThatAreNoPlaceToWriteAreRefused) {
  expect_refused([&] { write(folder_); }, HasSubstr("found a folder"));
  expect_refused([&] { write(folder_ / "new/"); }, HasSubstr("folder"));
  expect_refused([&] { write(folder_ / "none/file"); },
                 AllOf(HasSubstr("there is no folder"), HasSubstr("none; make it first")));
  put(folder_ / "file");
  expect_refused([&] { write(folder_ / "file/x"); }, HasSubstr("there is no folder"));
  expect_refused([&] { write(folder_ / std::string(256, 'x')); }, HasSubstr("too long"));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Outputs, OfTheLongestLegalNameAreWritten) {
  const fs::path path = folder_ / std::string(255, 'x');
  write(path);
  EXPECT_EQ(read(path), "new");
}

TEST_F(Outputs, KeepThePermissionsOfWhatTheyReplace) {
  put(folder_ / "file");
  ASSERT_EQ(::chmod((folder_ / "file").c_str(), 0640), 0);
  write(folder_ / "file");
  EXPECT_EQ(mode_of(folder_ / "file"), 0640U);
}

TEST_F(Outputs, ThatAreNewFollowTheUmask) {
  const mode_t before = ::umask(027);
  write(folder_ / "file");
  ::umask(before);
  EXPECT_EQ(mode_of(folder_ / "file"), 0640U);
}

TEST_F(Outputs, OfAFullDiskLeaveTheOldFileAndNothingElse) {
  put(folder_ / "file");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(write(folder_ / "file", std::string(2000, 'x')), Error);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read(folder_ / "file"), "old");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Outputs, ThatBelongTogetherAppearTogether) {
  put(folder_ / "data", "old data");
  put(folder_ / "graph", "old graph");
  {
    AtomicFiles files;
    files.remove_first(folder_ / "graph");
    files.add(folder_ / "data").write("new data");
    files.add(folder_ / "graph").write("new graph");
  }
  EXPECT_EQ(read(folder_ / "graph"), "old graph") << "nothing was committed";
  EXPECT_EQ(read(folder_ / "data"), "old data");
  AtomicFiles files;
  files.remove_first(folder_ / "graph");
  files.remove_last(folder_ / "other");
  put(folder_ / "other");
  files.add(folder_ / "data").write("new data");
  files.add(folder_ / "graph").write("new graph");
  EXPECT_THAT(files.commit(), testing::ElementsAre(folder_ / "data", folder_ / "graph"));
  EXPECT_EQ(read(folder_ / "graph"), "new graph");
  EXPECT_EQ(entries(), 2U);
}

TEST_F(Outputs, ThatCannotGetTheirNameLeaveNoGraphBesideOtherWeights) {
  put(folder_ / "graph", "old graph");
  put(folder_ / "data", "old data");
  AtomicFiles files;
  files.remove_first(folder_ / "graph");
  files.add(folder_ / "data").write("new data");
  files.add(folder_ / "graph").write("new graph");
  fs::remove(folder_ / "data");
  fs::create_directory(folder_ / "data");
  EXPECT_THROW(files.commit(), Error);
  EXPECT_FALSE(fs::exists(folder_ / "graph"));
}

/// Runs `action` in a child that is then killed, as the system does when memory is short.
void kill_after(const std::function<void()>& action) {
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    action();
    static_cast<void>(::write(ready[1], "x", 1));
    while (true) ::pause();
  }
  char done = 0;
  ASSERT_EQ(::read(ready[0], &done, 1), 1);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Outputs, OfAKilledProcessAreRemovedByTheNextOne) {
  kill_after([&] {
    static AtomicFile file(folder_ / "file");
    file.write("half");
    static TemporaryFolder folder(folder_);
    std::ofstream(folder.path() / "typed.onnx") << "half";
  });
  EXPECT_EQ(entries(), 2U) << "the child must leave something for this test to mean something";
  write(folder_ / "file");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(Outputs, OfALivingProcessAreLeftAlone) {
  const fs::path living = folder_ / ".sam3trt-0123456789ab.tmp";
  const fs::path dead = folder_ / ".sam3trt-ba9876543210.tmp";
  put(living);
  put(dead);
  const int fd = ::open(living.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  sweep_temporaries(folder_);
  EXPECT_TRUE(fs::exists(living));
  EXPECT_FALSE(fs::exists(dead));
  ::close(fd);
}

TEST_F(Outputs, FilesOfTheUserAreNeverSwept) {
  for (const char* name : {".sam3trt_download.json", "a.tmp", ".sam3trt-x", "result.json.part"}) {
    put(folder_ / name);
  }
  sweep_temporaries(folder_);
  EXPECT_EQ(entries(), 4U);
}

TEST_F(Outputs, StopWritingRemovesWhatIsHalfWritten) {
  kill_after([&] {
    static AtomicFile file(folder_ / "file");
    file.write("half");
    static TemporaryFolder work(folder_);
    std::ofstream(work.path() / "typed.onnx") << "half";
    static ResultFolder made(folder_ / "made/for/results", "--output");
    static AtomicFile inside(folder_ / "made/for/results/file");
    stop_writing();
  });
  EXPECT_EQ(entries(), 0U);
}

TEST_F(Outputs, FoldersForResultsGoWhenNothingCame) {
  put(folder_ / "file");
  { const ResultFolder folder(folder_ / "a/b", "--output a/b"); }
  EXPECT_FALSE(fs::exists(folder_ / "a"));
  {
    ResultFolder folder(folder_ / "a/b", "--output a/b");
    folder.keep();
  }
  EXPECT_TRUE(fs::is_directory(folder_ / "a/b"));
  expect_refused([&] { const ResultFolder folder(folder_ / "file/b", "--output file/b"); },
                 HasSubstr("--output file/b"));
}

TEST_F(Outputs, ThatAreInputsAreRefusedByAnyName) {
  put(folder_ / "image.png");
  fs::create_directory_symlink(folder_, folder_ / "self");
  fs::create_symlink("image.png", folder_ / "link.png");
  fs::create_hard_link(folder_ / "image.png", folder_ / "hard.png");
  for (const char* name :
       {"image.png", "self/image.png", "link.png", "hard.png", "self/./hard.png"}) {
    OutputCheck check;
    check.reads(folder_ / "image.png", "--image image.png");
    expect_refused([&] { check.writes(folder_ / name, "--output x"); },
                   HasSubstr("--output x: would overwrite the input --image image.png"));
    expect_refused([&] { check.writes_later(folder_ / name, "--output x"); },
                   HasSubstr("would overwrite the input"));
  }
}

TEST_F(Outputs, ThatAreOneFileAreRefusedByAnyName) {
  fs::create_directory_symlink(folder_, folder_ / "self");
  fs::create_symlink("result", folder_ / "link");
  for (const char* name : {"result", "self/result", "link", "./result"}) {
    OutputCheck check;
    check.writes(folder_ / "result", "--output");
    expect_refused([&] { check.writes(folder_ / name, "--overlay"); },
                   HasSubstr("--overlay: would overwrite the output --output"));
  }
  OutputCheck check;
  check.writes("/dev/null", "--output");
  check.writes("/dev/null", "--overlay");
}

}  // namespace
}  // namespace sam3trt
