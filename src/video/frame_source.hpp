#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

/// What is known of a video before its frames are read.
struct VideoInfo {
  std::string path;   ///< As given.
  int64_t width = 0;  ///< Pixels, upright: of the first frame that can be read.
  int64_t height = 0;
  std::optional<int64_t> frames{};    ///< Unknown for streams, and where the file does not say.
  std::optional<int64_t> length{};    ///< `frames`, or near them where the file does not say it.
  std::optional<int64_t> estimate{};  ///< `frames`, or duration times rate: for progress only.
  std::optional<double> fps{};        ///< On average; unknown for images.
};

struct VideoFrame {
  int64_t index = 0;                 ///< In the video, from 0 on.
  std::optional<double> time;        ///< Seconds since the first frame; unknown for images.
  Image image;                       ///< Of the video's size, unless there is an error.
  std::optional<std::string> error;  ///< Why this frame cannot be read.
};

/// Which frames of a video are wanted, in which order.
struct FrameOrder {
  bool backward = false;
  /// Where it begins: none is the first frame, or backwards the last one.
  std::optional<int64_t> first{};
};

/// The frames of a video, one after the other. One call at a time.
class FrameSource {
 public:
  FrameSource() = default;
  virtual ~FrameSource() = default;
  FrameSource(const FrameSource&) = delete;
  FrameSource& operator=(const FrameSource&) = delete;

  [[nodiscard]] virtual const VideoInfo& info() const = 0;

  /// The next frame, or nothing at the end. Throws Error(kBadInput) when the video breaks off.
  [[nodiscard]] virtual std::optional<VideoFrame> next() = 0;

  /// From any thread: the call of next() that waits, and all later ones, may end at once.
  virtual void cancel() noexcept {}

  /// A name for a file made of a frame, without ending: that of its image where the video is a
  /// folder, else the number.
  [[nodiscard]] virtual std::string name_of(int64_t frame) const;

  /// Files that the video consists of, for those who write others.
  [[nodiscard]] virtual std::vector<std::string> files() const = 0;
};

/// Opens a video: a folder of images, a pattern ("a/*.png" or "a/%05d.png"), a tar file or an
/// image;
/// "-" for standard input, or anything else that the program ffmpeg opens. Images are sorted by
/// name, numbers in names by their value. Frames that do not have the first one's size are brought
/// to it, and the first of them is warned of. At least one frame is read; the rest is read ahead on
/// a thread, a few frames and at most 512 MiB of them.
///
/// Backwards a file is decoded in parts of at most 256 MiB, from a key frame each; streams cannot
/// be read backwards. Throws Error(kBadInput), naming `option` and the source, for what is not
/// there or is not a video, and Error(kUnavailable) where ffmpeg is needed and not installed.
[[nodiscard]] std::unique_ptr<FrameSource> open_video(const std::string& source,
                                                      const std::string& option,
                                                      const FrameOrder& order = {});

/// Whether a source can be read several times and backwards.
[[nodiscard]] bool is_repeatable(const std::string& source);

}  // namespace sam3trt
