#include "video/frame_source.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/error.hpp"
#include "clips.hpp"
#include "video/ffmpeg_backward.hpp"
#include "video/image_frames.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<VideoFrame> all_of(FrameSource& source) {
  std::vector<VideoFrame> frames;
  while (auto frame = source.next()) frames.push_back(std::move(*frame));
  return frames;
}

/// Grey of the first pixel of each frame; -1 for an error.
std::vector<int> greys(const std::vector<VideoFrame>& frames) {
  std::vector<int> values;
  for (const VideoFrame& frame : frames) {
    values.push_back(frame.error ? -1 : frame.image.rgb.front());
  }
  return values;
}

std::vector<int64_t> indices(const std::vector<VideoFrame>& frames) {
  std::vector<int64_t> values;
  for (const VideoFrame& frame : frames) values.push_back(frame.index);
  return values;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// Children of this process that were not waited for.
bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

class FrameSourceTest : public VideoTest {};

TEST(NaturalOrder, ComparesNumbersByTheirValue) {
  EXPECT_TRUE(is_before("f2.png", "f10.png"));
  EXPECT_FALSE(is_before("f10.png", "f2.png"));
  EXPECT_TRUE(is_before("a", "b"));
  EXPECT_TRUE(is_before("a", "a1"));
  EXPECT_TRUE(is_before("x009y", "x10a"));
  EXPECT_TRUE(is_before("01", "1"));
  EXPECT_FALSE(is_before("1", "01"));
  EXPECT_FALSE(is_before("1", "1"));
  EXPECT_TRUE(is_before("9", "99999999999999999999999999"));
}

TEST_F(FrameSourceTest, ReadsAFolderInTheOrderOfItsNumbers) {
  for (const int i : {10, 9, 2, 1}) {
    put_image("frame" + std::to_string(i) + ".png", static_cast<uint8_t>(i));
  }
  const auto source = open_video(folder_.string(), "--video");
  EXPECT_EQ(source->info().frames, 4);
  EXPECT_EQ(source->info().width, 8);
  EXPECT_EQ(source->info().height, 6);
  EXPECT_FALSE(source->info().fps.has_value());
  const auto frames = all_of(*source);
  EXPECT_THAT(greys(frames), ElementsAre(1, 2, 9, 10));
  EXPECT_THAT(indices(frames), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(source->name_of(2), "frame9");
  EXPECT_FALSE(frames[0].time.has_value());
}

TEST_F(FrameSourceTest, ReadsPatternsOfBothKinds) {
  for (const int i : {0, 1, 12}) {
    put_image("a" + std::to_string(i) + ".png", static_cast<uint8_t>(i));
    put_image("b" + std::to_string(i) + ".png", 200);
  }
  EXPECT_THAT(greys(all_of(*open_video(path("a*.png"), "--video"))), ElementsAre(0, 1, 12));
  EXPECT_THAT(greys(all_of(*open_video(path("a%d.png"), "--video"))), ElementsAre(0, 1, 12));
  EXPECT_THAT(greys(all_of(*open_video(path("a%05d.png"), "--video"))), ElementsAre(0, 1, 12));
  EXPECT_THAT(message_of([&] { static_cast<void>(open_video(path("c%d.png"), "--video")); }),
              HasSubstr("--video " + path("c%d.png") + ": no file fits"));
  EXPECT_THAT(message_of([&] { static_cast<void>(open_video(path("c*"), "--video")); }),
              HasSubstr("--video " + path("c*")));
}

TEST_F(FrameSourceTest, ReadsAFolderBackwardsFromAnyFrame) {
  for (const int i : {0, 1, 2, 3}) {
    put_image(std::to_string(i) + ".png", static_cast<uint8_t>(i));
  }
  const auto all = all_of(*open_video(folder_.string(), "--video", {.backward = true}));
  EXPECT_THAT(indices(all), ElementsAre(3, 2, 1, 0));
  EXPECT_THAT(greys(all), ElementsAre(3, 2, 1, 0));
  const auto from =
      all_of(*open_video(folder_.string(), "--video", {.backward = true, .first = 1}));
  EXPECT_THAT(indices(from), ElementsAre(1, 0));
  EXPECT_THAT(greys(from), ElementsAre(1, 0));
  EXPECT_THAT(indices(all_of(*open_video(folder_.string(), "--video", {.first = 2}))),
              ElementsAre(2, 3));
  EXPECT_THAT(
      message_of([&] { static_cast<void>(open_video(folder_.string(), "--video", {.first = 4})); }),
      HasSubstr("has no frame 4, only 0 to 3"));
}

TEST_F(FrameSourceTest, GivesImagesThatCannotBeReadAsFramesWithAnError) {
  put("0.png", "not an image");
  put_image("1.png", 1);
  put("2.png", "");
  put_image("3.png", 3);
  const auto source = open_video(folder_.string(), "--video");
  EXPECT_EQ(source->info().width, 8);
  const auto frames = all_of(*source);
  EXPECT_THAT(greys(frames), ElementsAre(-1, 1, -1, 3));
  EXPECT_THAT(*frames[0].error, HasSubstr("0.png"));
}

TEST_F(FrameSourceTest, RefusesAFolderInWhichNothingCanBeRead) {
  put("0.png", "x");
  put("1.png", "y");
  EXPECT_THAT(message_of([&] { static_cast<void>(open_video(folder_.string(), "--video")); }),
              HasSubstr("nor can any other of the 2 images"));
}

TEST_F(FrameSourceTest, BringsFramesToTheSizeOfTheFirst) {
  put_image("0.png", 7);
  put_image("1.png", 9, 16, 4);
  const auto frames = all_of(*open_video(folder_.string(), "--video"));
  EXPECT_EQ(frames[1].image.width, 8);
  EXPECT_EQ(frames[1].image.height, 6);
  EXPECT_THAT(greys(frames), ElementsAre(7, 9));
}

TEST_F(FrameSourceTest, ReadsAFileWithItsTimes) {
  const auto source = open_video(make_clip("a.mkv", 10), "--video");
  EXPECT_EQ(source->info().width, 32);
  EXPECT_EQ(source->info().height, 24);
  EXPECT_EQ(source->info().fps, 25.0);
  EXPECT_EQ(source->info().estimate, 10);
  const auto frames = all_of(*source);
  EXPECT_THAT(greys(frames), ElementsAre(0, 4, 8, 12, 16, 20, 24, 28, 32, 36));
  EXPECT_THAT(indices(frames), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_NEAR(frames[9].time.value(), 0.36, 1e-9);
}

TEST_F(FrameSourceTest, KeepsFramesAndTimesOfAVariableRate) {
  const std::string clip = make_clip("a.mkv", 20);
  // Every frame from 10 on is kept, of those before one in four.
  const std::string variable = make("v.mkv", {"-i", clip, "-vf", "select='gte(n,10)+not(mod(n,4))'",
                                              "-fps_mode", "passthrough", "-c:v", "ffv1"});
  const auto frames = all_of(*open_video(variable, "--video"));
  EXPECT_THAT(greys(frames), ElementsAre(0, 16, 32, 40, 44, 48, 52, 56, 60, 64, 68, 72, 76));
  EXPECT_NEAR(frames[1].time.value(), 0.16, 1e-9);
  EXPECT_NEAR(frames[3].time.value(), 0.40, 1e-9);
  EXPECT_NEAR(frames[12].time.value(), 0.76, 1e-9);
}

TEST_F(FrameSourceTest, ReadsAFileBackwardsInParts) {
  const std::string clip = make_clip("a.mkv", 30, 7);
  std::vector<int> expected;
  for (int i = 29; i >= 0; --i) expected.push_back(4 * i);
  FfmpegInput input = ffmpeg_input(clip, "--video");
  FfmpegBackward source(clip, "--video", input, std::nullopt, 4 * 32 * 24 * 3);
  const auto frames = all_of(source);
  EXPECT_EQ(greys(frames), expected);
  EXPECT_EQ(source.decoded_twice(), 0);
  EXPECT_NEAR(frames[0].time.value(), 29 / 25.0, 1e-9);
  const auto from = all_of(*open_video(clip, "--video", {.backward = true, .first = 5}));
  EXPECT_THAT(greys(from), ElementsAre(20, 16, 12, 8, 4, 0));
}

TEST_F(FrameSourceTest, ReadsAFileBackwardsThatCannotBeSought) {
  // Raw MJPEG has neither times nor an index.
  const std::string clip = make_clip("a.mkv", 9, 1);
  const std::string raw = make("a.mjpeg", {"-i", clip, "-q:v", "1"});
  const auto forward = all_of(*open_video(raw, "--video"));
  std::vector<int> expected = greys(forward);
  ASSERT_EQ(expected.size(), 9U);
  std::ranges::reverse(expected);
  FfmpegBackward source(raw, "--video", ffmpeg_input(raw, "--video"), std::nullopt,
                        4 * 32 * 24 * 3);
  EXPECT_EQ(greys(all_of(source)), expected);
}

TEST_F(FrameSourceTest, TurnsFramesAsTheFileSays) {
  const std::string clip = make("a.mp4", {"-f", "lavfi", "-i", "testsrc2=size=32x24:rate=25",
                                          "-frames:v", "3", "-pix_fmt", "yuv420p"});
  const std::string turned =
      make("r.mp4", {"-i", clip, "-c", "copy", "-metadata:s:v", "rotate=90"});
  const auto source = open_video(turned, "--video");
  EXPECT_EQ(source->info().width, 24);
  EXPECT_EQ(source->info().height, 32);
  EXPECT_EQ(all_of(*source).size(), 3U);
  EXPECT_EQ(source->info().frames, 3);
}

TEST_F(FrameSourceTest, BringsAStreamThatChangesItsSizeToTheFirst) {
  const auto part = [&](const std::string& name, const std::string& size) {
    make(name, {"-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=25", "-frames:v", "6", "-c:v",
                "mpeg2video", "-f", "mpegts"});
    return bytes_of(name);
  };
  put("both.ts", part("a.ts", "64x48") + part("b.ts", "96x32"));
  const auto frames = all_of(*open_video(path("both.ts"), "--video"));
  EXPECT_GT(frames.size(), 8U);
  for (const VideoFrame& frame : frames) {
    EXPECT_EQ(frame.image.width, 64);
    EXPECT_EQ(frame.image.height, 48);
  }
}

TEST_F(FrameSourceTest, SaysThatAFileBreaksOffAfterItsFrames) {
  make("a.mp4", {"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "40", "-g", "5",
                 "-pix_fmt", "yuv420p", "-movflags", "faststart"});
  const std::string bytes = bytes_of("a.mp4");
  put("cut.mp4", bytes.substr(0, bytes.size() * 2 / 3));
  const auto source = open_video(path("cut.mp4"), "--video");
  EXPECT_EQ(source->info().frames, 40);
  size_t frames = 0;
  const std::string message = message_of([&] {
    while (source->next()) ++frames;
  });
  EXPECT_GT(frames, 3U);
  EXPECT_LT(frames, 40U);
  EXPECT_THAT(message, HasSubstr("cut.mp4: breaks off after " + std::to_string(frames) + " of 40"));
}

TEST_F(FrameSourceTest, RefusesWhatIsNotAVideo) {
  put("a.mp4", "this is not a video at all");
  put("empty.mp4", "");
  const std::string sound = make("a.wav", {"-f", "lavfi", "-i", "sine=duration=0.2"});
  for (const std::string& source : {path("a.mp4"), path("empty.mp4"), sound}) {
    const std::string message =
        message_of([&] { static_cast<void>(open_video(source, "--video")); });
    EXPECT_THAT(message, HasSubstr("--video " + source + ": ffmpeg finds no video in it"));
  }
  EXPECT_THAT(message_of([&] { static_cast<void>(open_video(path("none.mp4"), "--video")); }),
              HasSubstr("there is no such file"));
  EXPECT_THAT(
      message_of([&] { static_cast<void>(open_video("http://127.0.0.1:9/a.mp4", "--video")); }),
      HasSubstr("Connection refused"));
  EXPECT_FALSE(has_children());
}

TEST_F(FrameSourceTest, TakesNamesThatLookLikeOptions) {
  const std::filesystem::path before = std::filesystem::current_path();
  make_clip("-i.mkv", 2);
  make_clip("concat:a.mkv", 2);
  std::filesystem::current_path(folder_);
  EXPECT_EQ(all_of(*open_video("-i.mkv", "--video")).size(), 2U);
  EXPECT_EQ(all_of(*open_video("concat:a.mkv", "--video")).size(), 2U);
  EXPECT_EQ(all_of(*open_video("-i.mkv", "--video", {.backward = true})).size(), 2U);
  std::filesystem::current_path(before);
}

TEST_F(FrameSourceTest, LeavesNoProcessWhenItIsLeftEarly) {
  const std::string clip = make("a.mkv", {"-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25",
                                          "-frames:v", "100", "-c:v", "mpeg4"});
  {
    const auto source = open_video(clip, "--video");
    static_cast<void>(source->next());
  }
  {
    const auto source = open_video(clip, "--video", {.backward = true});
    static_cast<void>(source->next());
  }
  EXPECT_FALSE(has_children());
}

TEST_F(FrameSourceTest, EndsAWaitForAStreamThatSendsNothing) {
  // A pipe whose writer stays silent after some frames, if it got that far before its reader left.
  std::signal(SIGPIPE, SIG_IGN);
  const std::string clip = make("a.ts", {"-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25",
                                         "-frames:v", "500", "-c:v", "mpeg2video"});
  const std::string pipe = path("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    std::ofstream stream(pipe, std::ios::binary);
    stream << bytes_of("a.ts") << std::flush;
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  {
    const auto source = open_video(pipe, "--video");
    EXPECT_FALSE(source->info().frames.has_value());
    EXPECT_EQ(source->info().fps, 25.0);
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      source->cancel();
    });
    while (source->next()) {
    }
    stopper.join();
  }
  done = true;
  writer.join();
  EXPECT_FALSE(has_children());
}

TEST_F(FrameSourceTest, SaysWhatToInstallWithoutFfmpeg) {
  const std::string clip = make_clip("a.mkv", 2);
  put_image("0.png", 1);
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  try {
    static_cast<void>(open_video(clip, "--video"));
    ADD_FAILURE() << "opened without ffmpeg";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("apt-get install ffmpeg"));
    EXPECT_THAT(error.what(), HasSubstr("folder of images"));
  }
  EXPECT_EQ(all_of(*open_video(path("*.png"), "--video")).size(), 1U);
  ::setenv("PATH", before.c_str(), 1);
}

}  // namespace
}  // namespace sam3trt
