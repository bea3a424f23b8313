#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "base/descriptor.hpp"
#include "image/image.hpp"
#include "video/ffmpeg_program.hpp"

namespace sam3trt {

/// A folder for the files of one test.
class VideoTest : public testing::Test {
 protected:
  VideoTest() { std::filesystem::create_directories(folder_); }
  ~VideoTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }

  [[nodiscard]] std::string bytes_of(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  /// An image whose every pixel has that grey.
  void put_image(const std::string& name, uint8_t grey, int64_t width = 8,
                 int64_t height = 6) const {
    const Image image{width, height,
                      std::vector<uint8_t>(static_cast<size_t>(width * height) * 3, grey)};
    const auto png = encode_png(image);
    put(name, {reinterpret_cast<const char*>(png.data()), png.size()});
  }

  /// Runs ffmpeg with the file `name` as its output; returns its path.
  std::string make(const std::string& name, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"-v", "error", "-nostdin", "-y"});
    arguments.push_back("file:" + path(name));
    ChildOptions options;
    options.program = find_ffmpeg("ffmpeg", "a test");
    options.arguments = arguments;
    options.output = false;
    ChildProcess child(options);
    const std::string messages = read_to_end(child.messages());
    EXPECT_EQ(child.wait(), 0) << messages;
    return path(name);
  }

  /// A lossless clip whose frame i is grey 4 i, a key frame every `group` frames.
  std::string make_clip(const std::string& name, int frames, int group = 12,
                        const std::string& size = "32x24") const {
    return make(
        name,
        {"-f", "lavfi", "-i",
         "color=black:size=" + size + ":rate=25,geq=lum=N*4:cb=128:cr=128,format=gray", "-frames:v",
         std::to_string(frames), "-g", std::to_string(group), "-c:v", "ffv1", "-level", "3"});
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() /
                                  ("video_test." + std::to_string(::getpid()) + "." +
                                   testing::UnitTest::GetInstance()->current_test_info()->name());
};

}  // namespace sam3trt
