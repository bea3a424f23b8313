#include "video/video_writer.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>

#include "base/error.hpp"
#include "clips.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

Image grey_image(uint8_t grey, int64_t width, int64_t height) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width * height) * 3, grey)};
}

class VideoWriterTest : public VideoTest {
 protected:
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  }
};

TEST_F(VideoWriterTest, WritesWhatCanBeReadAgain) {
  for (const char* name : {"a.mkv", "b.MP4", "c.webm", "-d.avi"}) {
    VideoWriter writer(path(name), "--overlay", 10);
    for (const int grey : {40, 120, 200}) {
      writer.add(grey_image(static_cast<uint8_t>(grey), 31, 24));
    }
    EXPECT_FALSE(std::filesystem::exists(path(name))) << name;
    writer.finish();
    const auto source = open_video(path(name), "--video");
    EXPECT_NEAR(source->info().fps.value_or(0), 10, 0.01) << name;
    EXPECT_GE(source->info().width, 31);
    for (const int grey : {40, 120, 200}) {
      const auto frame = source->next();
      ASSERT_TRUE(frame) << name;
      EXPECT_NEAR(frame->image.rgb[0], grey, 8) << name;
    }
    EXPECT_FALSE(source->next()) << name;
  }
}

TEST_F(VideoWriterTest, LeavesNothingWithoutItsEnd) {
  {
    VideoWriter writer(path("a.mp4"), "--overlay", 25);
    writer.add(grey_image(1, 32, 24));
  }
  {
    VideoWriter writer(path("b.mp4"), "--overlay", 25);
    writer.finish();
  }
  EXPECT_THAT(names(), testing::IsEmpty());
}

TEST_F(VideoWriterTest, SaysWhatFfmpegSaysWhenItEnds) {
  std::signal(SIGPIPE, SIG_IGN);
  std::ofstream(path("ffmpeg")) << "#!/bin/sh\necho '[fatal] no such codec' >&2\nexit 1\n";
  std::filesystem::permissions(path("ffmpeg"), std::filesystem::perms::owner_all);
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", folder_.c_str(), 1);
  std::string message;
  try {
    VideoWriter writer(path("a.mp4"), "--overlay a.mp4", 25);
    for (int i = 0; i < 20; ++i) writer.add(grey_image(1, 640, 480));
    writer.finish();
  } catch (const Error& error) {
    message = error.what();
  }
  ::setenv("PATH", before.c_str(), 1);
  EXPECT_THAT(message, HasSubstr("--overlay a.mp4: ffmpeg cannot write the video: no such codec"));
  EXPECT_FALSE(std::filesystem::exists(path("a.mp4")));
}

TEST_F(VideoWriterTest, RefusesTargetsThatAreNotFiles) {
  EXPECT_THROW(VideoWriter("/dev/null", "--overlay", 25), Error);
  EXPECT_THROW(VideoWriter(path("none/a.mp4"), "--overlay", 25), Error);
  EXPECT_TRUE(has_video_ending("a.MP4"));
  EXPECT_FALSE(has_video_ending("a.png"));
}

}  // namespace
}  // namespace sam3trt
