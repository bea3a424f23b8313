#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/image_list.hpp"
#include "jobs/image_source.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {

/// Whether `source` is read as images, without ffmpeg: a folder, a pattern that names no file
/// itself, a tar file, or a file whose ending is that of a still image.
[[nodiscard]] bool is_image_source(const std::string& source);

/// Whether a comes before b: text by its bytes, numbers in it by their value.
[[nodiscard]] bool is_before(std::string_view a, std::string_view b);

/// The images of a folder, a pattern or a tar file as frames. An image that cannot be read is a
/// frame with an error.
class ImageFrames : public FrameSource {
 public:
  /// Throws Error(kBadInput) when there is no image, or none that can be read.
  ImageFrames(const std::string& source, const std::string& option, const FrameOrder& order);

  [[nodiscard]] const VideoInfo& info() const override { return info_; }
  [[nodiscard]] std::optional<VideoFrame> next() override;
  [[nodiscard]] std::string name_of(int64_t frame) const override;
  [[nodiscard]] std::vector<std::string> files() const override;

 private:
  [[nodiscard]] VideoFrame read_frame();
  void find_size();

  VideoInfo info_;
  std::vector<ListedImage> images_;  ///< In the order in which they are read.
  int64_t first_;                    ///< Frame of the first of them.
  int64_t step_;
  std::vector<std::string> names_;  ///< Of all frames; empty: numbers.
  ImageSource source_;
  size_t taken_ = 0;
  std::deque<VideoFrame> waiting_;  ///< Read to find the size.
};

}  // namespace sam3trt
