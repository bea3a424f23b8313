#include "trt/library.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

#if SAM3TRT_HAS_TENSORRT_10 && SAM3TRT_HAS_TENSORRT_11
constexpr bool kHasHeaders = true;
#else
constexpr bool kHasHeaders = false;
#endif

/// A folder of libraries that look like TensorRT, which SAM3TRT_TENSORRT_DIR names.
class TensorRtLibrary : public testing::Test {
 protected:
  TensorRtLibrary() {
    std::string name = (fs::temp_directory_path() / "sam3trt_library.XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    ::setenv("SAM3TRT_TENSORRT_DIR", folder_.c_str(), 1);
  }
  ~TensorRtLibrary() override {
    ::unsetenv("SAM3TRT_TENSORRT_DIR");
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  /// A library of that version; as getInferLibVersion counts.
  void add(const std::string& name, int version) const {
    fs::copy_file(SAM3TRT_FAKE_TENSORRT, folder_ / name);
    std::ofstream(folder_ / (name + ".version")) << version;
  }
  void add_with_parser(const std::string& major, int version) const {
    add("libnvinfer.so." + major, version);
    add("libnvonnxparser.so." + major, version);
  }

  fs::path folder_;
};

using Wanted = std::optional<TensorRtFlavour>;

std::string refusal_of(bool parser, Wanted wanted = std::nullopt) {
  try {
    const TensorRtLibraryInfo info = choose_tensorrt(parser, wanted);
    ADD_FAILURE() << "no error, but " << info.library;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    return error.what();
  }
  return "";
}

TEST(TensorRtVersion, IsReadFromItsNumber) {
  EXPECT_EQ(version_text(100600), "10.6.0");
  EXPECT_EQ(version_text(110401), "11.4.1");
  EXPECT_EQ(version_text(10701), "1.7.1");
  EXPECT_EQ(version_text(8601), "8.6.1");
}

TEST(TensorRtFlavourName, IsFoundAgain) {
  for (const auto flavour : {TensorRtFlavour::kTensorRt10, TensorRtFlavour::kTensorRt11,
                             TensorRtFlavour::kTensorRtRtx}) {
    EXPECT_EQ(flavour_named(name_of(flavour)), flavour);
  }
  EXPECT_EQ(flavour_named("TensorRT 9"), std::nullopt);
}

TEST_F(TensorRtLibrary, AMissingLibraryIsNamedWithTheFolderAndWhatToInstall) {
  EXPECT_THAT(refusal_of(true),
              AllOf(HasSubstr("libnvinfer.so.11 is not in " + folder_.string()),
                    HasSubstr("libnvinfer.so.10 is not in " + folder_.string()),
                    HasSubstr("SAM3TRT_TENSORRT_DIR"), HasSubstr("install libnvinfer10")));
  EXPECT_THAT(refusal_of(true, TensorRtFlavour::kTensorRtRtx),
              AllOf(HasSubstr("libtensorrt_rtx.so.1 is not in"),
                    HasSubstr("install tensorrt-rtx-cu13-libs")));
  EXPECT_TRUE(find_tensorrt_libraries().empty());
}

TEST_F(TensorRtLibrary, VersionsBeforeTheOldestAreRefusedBeforeAnythingElseIsCalled) {
  add_with_parser("10", 100500);
  EXPECT_THAT(refusal_of(false), AllOf(HasSubstr((folder_ / "libnvinfer.so.10").string()),
                                       HasSubstr("is version 10.5.0, older than 10.6.0")));
  try {
    static_cast<void>(load_tensorrt(true));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
  const auto found = find_tensorrt_libraries();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].version, "10.5.0");
  EXPECT_THAT(found[0].problem, HasSubstr("older than 10.6.0"));
}

TEST_F(TensorRtLibrary, OldTensorRtRtxIsRefused) {
  add("libtensorrt_rtx.so.1", 10300);
  add("libtensorrt_onnxparser_rtx.so.1", 10300);
  EXPECT_THAT(refusal_of(true, TensorRtFlavour::kTensorRtRtx),
              HasSubstr("is version 1.3.0, older than 1.7.0"));
}

TEST_F(TensorRtLibrary, AnotherMajorThanTheFileNameSaysIsRefused) {
  add_with_parser("10", 8601);
  add_with_parser("11", 100600);
  EXPECT_THAT(refusal_of(false), AllOf(HasSubstr("is version 8.6.1, not TensorRT 10"),
                                       HasSubstr("is version 10.6.0, not TensorRT 11")));
}

TEST_F(TensorRtLibrary, AFileThatIsNoLibraryIsNamedWithTheReason) {
  std::ofstream(folder_ / "libnvinfer.so.10") << "text";
  EXPECT_THAT(refusal_of(false),
              AllOf(HasSubstr("libnvinfer.so.10 cannot be loaded"), HasSubstr("too short")));
  ASSERT_EQ(find_tensorrt_libraries().size(), 1U);
  EXPECT_THAT(find_tensorrt_libraries()[0].problem, HasSubstr("cannot be loaded"));
}

/// A folder that SAM3TRT_TENSORRT_PACKAGES lists, where no folder is named.
class TensorRtPackages : public TensorRtLibrary {
 protected:
  TensorRtPackages() {
    ::unsetenv("SAM3TRT_TENSORRT_DIR");
    const std::string list = (folder_ / "none").string() + ":" + folder_.string();
    ::setenv("SAM3TRT_TENSORRT_PACKAGES", list.c_str(), 1);
  }
  ~TensorRtPackages() override { ::unsetenv("SAM3TRT_TENSORRT_PACKAGES"); }
};

TEST_F(TensorRtPackages, AreLookedIntoForWhatTheSystemDoesNotHave) {
  add("libtensorrt_rtx.so.1", 10701);
  const auto found = find_tensorrt_libraries();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].library, (folder_ / "libtensorrt_rtx.so.1").string());
  EXPECT_EQ(found[0].version, "1.7.1");
  EXPECT_THAT(found[0].parser_problem,
              HasSubstr("libtensorrt_onnxparser_rtx.so.1 is not in " + folder_.string()));
}

TEST_F(TensorRtPackages, AreNotLookedIntoWhereAFolderIsNamed) {
  add("libtensorrt_rtx.so.1", 10701);
  ::setenv("SAM3TRT_TENSORRT_DIR", (folder_ / "none").c_str(), 1);
  EXPECT_TRUE(find_tensorrt_libraries().empty());
}

/// What follows needs a program that knows both majors.
class TensorRtChoice : public TensorRtLibrary {
 protected:
  void SetUp() override {
    if (!kHasHeaders) GTEST_SKIP() << "built without the headers of TensorRT 10 or 11";
  }
};

TEST_F(TensorRtChoice, TheNewestIsChosenWhereNothingElseIsAskedFor) {
  add_with_parser("10", 100600);
  EXPECT_EQ(choose_tensorrt(true).flavour, TensorRtFlavour::kTensorRt10);
  add_with_parser("11", 110000);
  EXPECT_EQ(choose_tensorrt(true).flavour, TensorRtFlavour::kTensorRt11);
  EXPECT_EQ(choose_tensorrt(true).library, (folder_ / "libnvinfer.so.11").string());
  EXPECT_EQ(choose_tensorrt(true).version, "11.0.0");
}

TEST_F(TensorRtChoice, AnEngineThatNeedsTensorRt10GetsItBesideTensorRt11) {
  add_with_parser("10", 100600);
  add_with_parser("11", 110400);
  const TensorRtLibraryInfo info = choose_tensorrt(false, TensorRtFlavour::kTensorRt10);
  EXPECT_EQ(info.flavour, TensorRtFlavour::kTensorRt10);
  EXPECT_EQ(info.library, (folder_ / "libnvinfer.so.10").string());
}

TEST_F(TensorRtChoice, AnEngineThatNeedsTensorRt10IsNotGivenTensorRt11) {
  add_with_parser("11", 110400);
  EXPECT_THAT(refusal_of(false, TensorRtFlavour::kTensorRt10),
              AllOf(HasSubstr("no TensorRT 10 that can be used"),
                    HasSubstr("libnvinfer.so.10 is not in " + folder_.string())));
}

TEST_F(TensorRtChoice, AVersionThatIsTooOldGivesWayToOneThatIsNot) {
  add_with_parser("10", 100600);
  add_with_parser("11", 100900);
  EXPECT_EQ(choose_tensorrt(true).flavour, TensorRtFlavour::kTensorRt10);
}

TEST_F(TensorRtChoice, AParserThatIsNotInTheFolderIsNotTakenFromElsewhere) {
  add("libnvinfer.so.10", 100600);
  EXPECT_EQ(choose_tensorrt(false).version, "10.6.0");  // running needs no parser
  EXPECT_THAT(refusal_of(true),
              AllOf(HasSubstr((folder_ / "libnvinfer.so.10").string()),
                    HasSubstr("libnvonnxparser.so.10 is not in " + folder_.string())));
  const auto found = find_tensorrt_libraries();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].problem, "");
  EXPECT_THAT(found[0].parser_problem, HasSubstr("libnvonnxparser.so.10 is not in"));
}

}  // namespace
}  // namespace sam3trt
