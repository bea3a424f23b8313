#include "triton/triton_repository.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

class TritonRepositoryFiles : public testing::Test {
 protected:
  TritonRepositoryFiles() : folder_(fs::path(testing::TempDir()) / "triton_repository") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    files_.form = ModelForm::kGraphs;
  }
  ~TritonRepositoryFiles() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path output() const { return folder_ / "a" / "repository"; }

  [[nodiscard]] TritonRepository repository(const std::string& model = "/models/onnx") const {
    return {output(), model, false, TritonBackend::kPython};
  }

  void let_it_track() {
    files_.config.tracker.emplace();
    for (const ComponentInfo& info : components()) files_.components[info.id] = "x.onnx";
  }

  static std::string text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream result;
    result << file.rdbuf();
    return result.str();
  }

  std::string refusal(const TritonRepository& repository) {
    try {
      write_triton_repository(files_, repository);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  }

  fs::path folder_;
  ModelFiles files_;
};

TEST_F(TritonRepositoryFiles, TheFilesAreThoseOfServingTriton) {
  const auto files = builtin_triton_files();
  ASSERT_EQ(files.size(), 5U);
  for (const EmbeddedFile& file : files) {
    const fs::path triton = fs::path(SAM3TRT_SOURCE_DIR) / "serving" / "triton";
    const fs::path folder = file.name.ends_with(".py") ? triton / "python" : triton;
    const MappedFile source(folder / file.name);
    EXPECT_TRUE(std::ranges::equal(file.bytes, source.bytes())) << file.name;
  }
}

TEST_F(TritonRepositoryFiles, AModelThatDetectsIsOneModel) {
  const auto written = write_triton_repository(files_, repository());
  EXPECT_THAT(written,
              testing::ElementsAre(output() / "sam3/config.pbtxt", output() / "sam3/1/model.py",
                                   output() / "sam3/1/sam3trt_triton.py"));
  const std::string config = text(written[0]);
  EXPECT_THAT(config, testing::HasSubstr("string_value: \"/models/onnx\""));
  EXPECT_THAT(config, testing::HasSubstr("kind: KIND_CPU"));
  EXPECT_THAT(config, testing::Not(testing::HasSubstr("@")));
}

TEST_F(TritonRepositoryFiles, AModelThatTracksIsTwoModels) {
  let_it_track();
  files_.form = ModelForm::kEngines;
  EXPECT_EQ(
      write_triton_repository(files_, {output(), "engines", true, TritonBackend::kPython}).size(),
      6U);
  const std::string config = text(output() / "sam3_video/config.pbtxt");
  EXPECT_THAT(config, testing::HasSubstr("name: \"sam3_video\""));
  EXPECT_THAT(config, testing::HasSubstr("kind: KIND_GPU"));
  EXPECT_THAT(config, testing::HasSubstr("string_value: \"true\""));
}

TEST_F(TritonRepositoryFiles, TheOwnBackendNeedsNoPython) {
  write_triton_repository(files_, repository());
  TritonRepository own = repository();
  own.backend = TritonBackend::kSam3trt;
  EXPECT_THAT(write_triton_repository(files_, own),
              testing::ElementsAre(output() / "sam3/config.pbtxt"));
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"), testing::HasSubstr("backend: \"sam3trt\""));
  EXPECT_TRUE(fs::is_empty(output() / "sam3/1"));
}

TEST_F(TritonRepositoryFiles, ChangedPythonIsKeptWhenTheBackendChanges) {
  write_triton_repository(files_, repository());
  std::ofstream(output() / "sam3/1/model.py", std::ios::app) << "# mine\n";
  TritonRepository own = repository();
  own.backend = TritonBackend::kSam3trt;
  EXPECT_THAT(refusal(own), testing::HasSubstr("model.py"));
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"), testing::HasSubstr("backend: \"python\""));
}

TEST_F(TritonRepositoryFiles, PathsAreQuoted) {
  write_triton_repository(files_, repository("a \"b\"\\c\n"));
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"),
              testing::HasSubstr(R"(string_value: "a \"b\"\\c\012")"));
}

TEST_F(TritonRepositoryFiles, WhatItWroteItWritesAgain) {
  write_triton_repository(files_, repository());
  write_triton_repository(files_, repository("/other"));
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"), testing::HasSubstr("\"/other\""));
}

TEST_F(TritonRepositoryFiles, WhatWasChangedIsKept) {
  write_triton_repository(files_, repository());
  const fs::path changed = output() / "sam3/1/model.py";
  std::ofstream(changed, std::ios::app) << "# mine\n";
  const std::string before = text(changed);
  EXPECT_THAT(refusal(repository("/other")), testing::StartsWith(changed.string() + ": "));
  EXPECT_EQ(text(changed), before);
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"), testing::HasSubstr("\"/models/onnx\""));
}

TEST_F(TritonRepositoryFiles, WhatOthersWroteIsKept) {
  fs::create_directories(output() / "sam3");
  const fs::path config = output() / "sam3/config.pbtxt";
  std::ofstream(config) << "name: \"sam3\"\n";
  EXPECT_THAT(refusal(repository()), testing::HasSubstr(config.string()));
  EXPECT_EQ(text(config), "name: \"sam3\"\n");
  EXPECT_FALSE(fs::exists(output() / "sam3/1"));
}

TEST_F(TritonRepositoryFiles, OtherModelsStay) {
  fs::create_directories(output() / "resnet/1");
  std::ofstream(output() / "resnet/config.pbtxt") << "name: \"resnet\"\n";
  write_triton_repository(files_, repository());
  EXPECT_EQ(text(output() / "resnet/config.pbtxt"), "name: \"resnet\"\n");
}

TEST_F(TritonRepositoryFiles, AVideoModelOfAnotherModelIsNotLeftBesideOneThatDetects) {
  let_it_track();
  write_triton_repository(files_, repository());
  files_.config.tracker.reset();
  EXPECT_THAT(refusal(repository("/other")), testing::HasSubstr("does not track"));
  EXPECT_THAT(text(output() / "sam3/config.pbtxt"), testing::HasSubstr("\"/models/onnx\""));
}

TEST_F(TritonRepositoryFiles, NothingIsLeftOfAFolderThatCannotBeMade) {
  fs::create_directories(output());
  std::ofstream(output() / "sam3") << "a file";
  EXPECT_THAT(refusal(repository()), testing::HasSubstr((output() / "sam3").string()));
  fs::remove(output() / "sam3");
  EXPECT_TRUE(fs::is_empty(output()));
}

}  // namespace
}  // namespace sam3trt
