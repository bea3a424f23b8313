#include "video/ppm_stream.hpp"

#include <gmock/gmock.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "video/ffmpeg_messages.hpp"
#include "video/ffmpeg_program.hpp"

namespace sam3trt {
namespace {

/// A descriptor to read these bytes from.
int file_of(const std::string& bytes) {
  const int fd = ::memfd_create("ppm", MFD_CLOEXEC);
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string message_for(const std::string& bytes) {
  const Descriptor file(file_of(bytes));
  PpmStream stream(file.get(), "v");
  try {
    while (stream.next()) {
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(PpmStream, ReadsImagesOfAnySizesInTurn) {
  const std::string large = "P6\n300 200\n255\n" + std::string(300 * 200 * 3, 'x');
  const Descriptor file(file_of("P6\n1 2\n255\nabcdef" + large + "P6\n2 1\n255\nghijkl"));
  PpmStream stream(file.get(), "v");
  const auto first = stream.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->width, 1);
  EXPECT_EQ(first->height, 2);
  EXPECT_EQ(std::string(first->rgb.begin(), first->rgb.end()), "abcdef");
  const auto second = stream.next();
  EXPECT_EQ(std::string(second->rgb.begin(), second->rgb.end()), std::string(300 * 200 * 3, 'x'));
  const auto third = stream.next();
  EXPECT_EQ(std::string(third->rgb.begin(), third->rgb.end()), "ghijkl");
  EXPECT_FALSE(stream.next());
}

TEST(PpmStream, RefusesStreamsThatBreakOffAnywhere) {
  const std::string whole = "P6\n2 1\n255\nghijkl";
  for (size_t size = 1; size < whole.size(); ++size) {
    EXPECT_EQ(message_for(whole.substr(0, size)), "v: ends inside a frame") << size;
  }
  EXPECT_EQ(message_for(whole), "");
}

TEST(PpmStream, RefusesOtherBytesAndSizesBeforeItTakesMemory) {
  for (const std::string bytes :
       {"P5\n2 1\n255\nghijkl", "P6\n2 -1\n255\n", "P6\n 1\n255\n", "P6\n0 1\n255\n",
        "P6\n99999999 99999999\n255\n", "P6\n9999999999 1\n255\n", "P6\n2 1\n65535\nghijkl"}) {
    EXPECT_NE(message_for(bytes), "") << bytes;
  }
}

TEST(FrameStamp, IsReadFromTheLinesOfFfmpeg) {
  const auto stamp = parse_frame_stamp("frame:12   pts:6144    pts_time:0.48");
  ASSERT_TRUE(stamp);
  EXPECT_EQ(stamp->number, 12);
  EXPECT_EQ(stamp->pts, 6144);
  EXPECT_EQ(stamp->seconds, 0.48);
  const auto without = parse_frame_stamp("frame:0    pts:NOPTS   pts_time:NOPTS");
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->pts);
  EXPECT_FALSE(without->seconds);
  EXPECT_FALSE(parse_frame_stamp("sam3trt=1"));
  EXPECT_FALSE(parse_frame_stamp("frame:-1 pts:1 pts_time:1"));
  EXPECT_FALSE(parse_frame_stamp("frame:0 pts:1 pts_time:nan")->seconds);
}

TEST(FfmpegMessages, KeepsErrorsAndTheRateOfTheOutput) {
  FfmpegMessages messages(-1);
  messages.add("[info] Input #0, mov, from 'file:a.mp4':");
  messages.add("[info]   Stream #0:0: Video: h264, yuv420p, 64x48, 30 fps, 25 tbr");
  messages.add("[info] Output #0, image2pipe, to 'pipe:1':");
  messages.add("[info]   Stream #0:0(und): Video: ppm, rgb24, 64x48, 200 kb/s, 29.97 fps, 25 tbn");
  messages.add("[mov @ 0x55dc551ce940] [error] stream 0, broken\x1b[31m.");
  messages.add("[mov @ 0x55dc551ce940] [error] stream 0, broken\x1b[31m.");
  messages.add("[fatal] Stream map '0:V:0' matches no streams.");
  messages.add("To ignore this, add a trailing '?' to the map.");
  EXPECT_EQ(messages.errors(), "stream 0, broken[31m; Stream map '0:V:0' matches no streams");
  EXPECT_EQ(messages.fps(), 29.97);
}

TEST(Probe, TakesWhatIsThere) {
  const ProbedVideo all = parse_probe(
      R"({"streams": [{"avg_frame_rate": "30000/1001", "nb_frames": "50"}], "format": {"duration": "2.0"}})");
  EXPECT_EQ(all.frames, 50);
  EXPECT_NEAR(all.fps.value(), 29.97, 0.001);
  const ProbedVideo some =
      parse_probe(R"({"streams": [{"avg_frame_rate": "25/1"}], "format": {"duration": "2.0"}})");
  EXPECT_FALSE(some.frames);
  EXPECT_EQ(some.estimated_frames, 50);
  for (const char* text :
       {"", "{}", "[]", R"({"streams": []})", R"({"streams": [3], "format": 1})",
        R"({"streams": [{"avg_frame_rate": "0/0", "nb_frames": "N/A"}]})",
        R"({"streams": [{"avg_frame_rate": "1e99/1e-99", "nb_frames": "1e30"}]})"}) {
    const ProbedVideo none = parse_probe(text);
    EXPECT_FALSE(none.frames) << text;
    EXPECT_FALSE(none.fps) << text;
  }
}

}  // namespace
}  // namespace sam3trt
