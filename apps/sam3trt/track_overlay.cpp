#include "track_overlay.hpp"

#include <vector>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/lower.hpp"
#include "image/encode.hpp"
#include "overlay/overlay.hpp"
#include "video/ffmpeg_program.hpp"

namespace sam3trt {
namespace {

std::string label_of(const TrackedObject& object) {
  return "#" + std::to_string(object.id) + (object.prompt ? " " + *object.prompt : "");
}

Image draw(const FrameResult& result, const Image& image) {
  std::vector<OverlayInstance> instances;
  for (const TrackedObject& object : result.objects) {
    if (object.area == 0) continue;
    instances.push_back({object.counts,
                         {object.box[0], object.box[1], object.box[2] + 1, object.box[3] + 1},
                         palette_color(static_cast<size_t>(object.id) - 1),
                         label_of(object)});
  }
  Image drawn = image;
  draw_overlay(drawn, instances, {});
  return drawn;
}

}  // namespace

TrackOverlay::TrackOverlay(std::filesystem::path target, bool forward, OutputCheck& check)
    : target_(std::move(target)), option_("--overlay " + target_.string()) {
  if (target_.empty()) return;
  std::error_code error;
  is_video_ = !std::filesystem::is_directory(target_, error) && has_video_ending(target_);
  if (!is_video_) {
    const std::string ending = lower(target_.extension().string());
    if (!std::filesystem::is_directory(target_, error) &&
        (is_writable_extension(ending) || target_ == "-")) {
      throw_bad_input(option_ + ": name a video that ends in " + kVideoEndings +
                      ", or a folder for an image of each frame");
    }
    check_output_folder(target_, option_);
    return;
  }
  if (!forward) {
    throw_bad_input(option_ +
                    ": a video has its frames forwards, and --direction gives them in another "
                    "order; name a folder");
  }
  check.writes(target_, option_);
  static_cast<void>(find_ffmpeg("ffmpeg", option_));
}

void TrackOverlay::begin(double fps, std::function<std::string(int64_t)> name_of) {
  if (!is_wanted()) return;
  name_of_ = std::move(name_of);
  if (is_video_) {
    video_ = std::make_unique<VideoWriter>(target_, option_, fps);
  } else {
    folder_.emplace(target_, option_);
  }
}

void TrackOverlay::add(const FrameResult& result, const Image& image) {
  if (!is_wanted()) return;
  const Image drawn = draw(result, image);
  if (video_) return video_->add(drawn);
  AtomicFile file(target_ / (name_of_(result.frame) + ".png"));
  file.write(encode_image(".png", drawn));
  file.commit();
  folder_->keep();
}

void TrackOverlay::finish() {
  if (video_) video_->finish();
}

}  // namespace sam3trt
