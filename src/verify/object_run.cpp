#include "verify/object_run.hpp"

#include <array>
#include <iterator>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/stop.hpp"
#include "runtime/request.hpp"
#include "runtime/result.hpp"
#include "sam3trt/session.hpp"
#include "segmenter/shared_model.hpp"
#include "verify/built_in_images.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kCorrected = 28;
constexpr size_t kMostObjects = 4;

/// Columns from a third to two thirds of the image.
ObjectMask middle_third(int64_t width, int64_t height) {
  const int64_t first = width / 3;
  const int64_t last = 2 * width / 3;
  return {width,
          height,
          {static_cast<uint32_t>(first * height), static_cast<uint32_t>((last - first) * height),
           static_cast<uint32_t>((width - last) * height)}};
}

/// A click; a click and another one that is not meant; a box; a mask.
std::vector<ObjectPrompt> image_prompts(const Image& image) {
  const auto width = static_cast<double>(image.width);
  const auto height = static_cast<double>(image.height);
  std::vector<ObjectPrompt> prompts(4);
  prompts[0].points = {{0.22 * width, 0.26 * height, true}};
  prompts[1].points = {{0.3 * width, 0.3 * height, true}, {0.7 * width, 0.7 * height, false}};
  prompts[2].box = PixelBox{0.08 * width, 0.08 * height, 0.36 * width, 0.46 * height};
  prompts[3].mask = middle_third(image.width, image.height);
  for (size_t i = 0; i < prompts.size(); ++i) prompts[i].id = static_cast<int64_t>(i) + 1;
  return prompts;
}

ImageResult run_image(Session& session, const Image& image) {
  const std::array<ImageView, 1> views = {view_of(image)};
  const std::vector<ObjectPrompt> prompts = image_prompts(image);
  const std::array<std::span<const ObjectPrompt>, 1> objects = {prompts};
  std::vector<ImageResult> results =
      session.interact(session.encode(views), objects, {.multimask = true, .logits = false});
  throw_if_failed(results.at(0));
  return std::move(results[0]);
}

ObjectPrompt click(int64_t id, int64_t x, int64_t y) {
  ObjectPrompt prompt;
  prompt.id = id;
  prompt.points = {{static_cast<double>(x), static_cast<double>(y), true}};
  return prompt;
}

void add_shapes(VideoSession& session, int64_t frames) {
  constexpr int64_t kDisc = 1;
  constexpr int64_t kSquare = 2;
  const ClipShapes first = clip_shapes(0);
  session.add(click(kDisc, first.disc_x, first.disc_y), 0);
  ObjectPrompt box;
  box.id = kSquare;
  box.box = PixelBox{static_cast<double>(first.square_x - first.radius),
                     static_cast<double>(first.square_y - first.radius),
                     static_cast<double>(first.square_x + first.radius),
                     static_cast<double>(first.square_y + first.radius)};
  session.add(box, 0);
  if (frames <= kCorrected) return;
  const ClipShapes later = clip_shapes(kCorrected);
  session.add(click(kDisc, later.disc_x, later.disc_y), kCorrected);
  session.add(click(kSquare, later.square_x, later.square_y), kCorrected);
}

/// Unless the model's semantics follow only what is pointed at.
void add_text(VideoSession& session, const std::string& text) {
  try {
    session.add(Prompt{text, {}});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnavailable) throw;
    log(LogLevel::kInfo, std::string("the clip is tracked without a text: ") + error.what());
  }
}

std::vector<FrameResult> track_clip(const Model& model, const ObjectRunOptions& options) {
  TrackOptions track;
  track.max_objects = kMostObjects;
  track.frames = options.frames;
  VideoSession session(model, track);
  add_text(session, options.text);
  add_shapes(session, options.frames);
  std::vector<FrameResult> results;
  for (int64_t frame = 0; frame < options.frames; ++frame) {
    throw_if_stopped(options.stop, "the verification");
    const Image image = clip_frame(frame);
    std::ranges::move(session.step(view_of(image), frame), std::back_inserter(results));
  }
  std::ranges::move(session.finish(), std::back_inserter(results));
  return results;
}

}  // namespace

ObjectRun run_objects(const Model& model, std::span<const Image> images,
                      const ObjectRunOptions& options) {
  ObjectRun run;
  Session session(model);
  for (const Image& image : images) {
    throw_if_stopped(options.stop, "the verification");
    run.images.push_back(run_image(session, image));
  }
  if (options.frames == 0 || !model.loaded()->can_track()) return run;
  run.frames = track_clip(model, options);
  return run;
}

}  // namespace sam3trt
