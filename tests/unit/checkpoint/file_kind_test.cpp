#include "checkpoint/file_kind.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "file_builders.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using namespace testing_files;
using namespace std::string_literals;

std::string kind(const std::string& bytes, const std::string& name = "model.safetensors") {
  return describe_other_file(as_bytes(bytes), name);
}

TEST(FileKind, CheckpointsAreLeftToTheirReaders) {
  EXPECT_EQ(kind(build_safetensors({{"a", "F32", {1}, "0123"}})), "");
  EXPECT_EQ(kind(build_torch_zip({{"a", "Float", {1}, "0123"}})), "");
  EXPECT_EQ(kind("\x01\x02\x03"), "");
}

TEST(FileKind, OtherFilesAreNamedWithTheWayOut) {
  EXPECT_THAT(kind(""), HasSubstr("is empty"));
  EXPECT_THAT(kind("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
              HasSubstr("is a Git LFS pointer"));
  EXPECT_THAT(kind("<!DOCTYPE html><html><head><title>Sign in"), HasSubstr("is a web page"));
  EXPECT_THAT(kind("{\"error\":\"Invalid credentials\"}"), HasSubstr("Invalid credentials"));
  EXPECT_THAT(kind("\x08\x09\x12\x07sam3trt"), HasSubstr("is an ONNX graph"));
  EXPECT_THAT(kind("ftrt\0\0\0\0"s), HasSubstr("is a TensorRT engine"));
  EXPECT_THAT(kind("\x01\x02\x03", "x.engine"), HasSubstr("is a TensorRT engine"));
  EXPECT_THAT(kind("GGUF\x03\0\0\0"s), HasSubstr("is a GGUF file"));
  EXPECT_THAT(kind("\x1f\x8b\x08"), HasSubstr("gunzip"));
  EXPECT_THAT(kind("\x80\x02}q\x00."s), HasSubstr("torch.save(model.state_dict(), FILE)"));
  EXPECT_THAT(kind("\x80\x02\x8a\x0a"), HasSubstr("before version 1.6"));
  EXPECT_THAT(kind("\x89HDF\r\n\x1a\n"), HasSubstr("HDF5"));
  EXPECT_THAT(kind(std::string(257, '\0') + "ustar"), HasSubstr("tar archive"));
  EXPECT_THAT(kind("some words\x1b"), testing::IsEmpty());
  EXPECT_THAT(kind("some words\n"), HasSubstr("is a text (\"some words?\")"));
}

TEST(FileKind, FoldersWithoutACheckpointSayWhatTheyHold) {
  const TemporaryFolder folder("file_kind_test");
  EXPECT_EQ(describe_other_folder(folder.path()), "");
  EXPECT_EQ(describe_other_folder(folder.path() / "none"), "");
  folder.write("detector.onnx", "x");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("holds ONNX graphs (detector.onnx)"));
  std::filesystem::create_directory(folder.path() / "checkpoint-500");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("the folder checkpoint-500"));
  folder.write("last.pth", "x");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("last.pth; name that file itself"));
  folder.write("a_optimizer.pt", "x");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("last.pth; name that file itself"));
  folder.write("model-00001-of-00002.safetensors", "x");
  EXPECT_THAT(describe_other_folder(folder.path()),
              HasSubstr("but not model.safetensors.index.json"));
  folder.write(".metadata", "x");
  folder.write("__0_0.distcp", "x");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("dcp_to_torch"));
  folder.write("zero_to_fp32.py", "x");
  EXPECT_THAT(describe_other_folder(folder.path()), HasSubstr("holds a DeepSpeed checkpoint"));
}

}  // namespace
}  // namespace sam3trt
