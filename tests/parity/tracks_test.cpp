#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "clips.hpp"
#include "goldens.hpp"
#include "image/rle.hpp"
#include "sam3trt/image.hpp"
#include "sam3trt/video.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

using nlohmann::json;

std::string tracks_path(const Reference& reference) {
  return std::string(SAM3TRT_TEST_DATA) + "/goldens/" + name_of(reference.semantics) + '/' +
         reference.name + ".tracks.json";
}

json tracks_of(const Reference& reference) {
  return json::parse(std::ifstream(tracks_path(reference))).at("runs");
}

std::vector<std::pair<int64_t, ObjectPrompt>> prompts_of(const json& run, bool after) {
  std::vector<std::pair<int64_t, ObjectPrompt>> prompts;
  if (!run.contains("prompts")) return prompts;
  for (const json& entry : run.at("prompts")) {
    if (entry.value("after", false) == after) {
      prompts.emplace_back(entry.at("frame"), object_of(entry));
    }
  }
  return prompts;
}

/// Runs the clip; `cut` is the number of frames after which the session is saved and another one
/// goes on with it, 0 for none.
std::vector<FrameResult> track(const Model& model, const json& run, int64_t cut) {
  TrackOptions options;
  options.live = run.value("live", false);
  auto session = std::make_unique<VideoSession>(model, options);
  if (run.contains("texts")) {
    for (const json& text : run.at("texts")) session->add(Prompt{text.get<std::string>(), {}});
  }
  for (const auto& [frame, prompt] : prompts_of(run, false)) session->add(prompt, frame);
  const auto late = prompts_of(run, true);
  std::vector<FrameResult> results;
  const auto first = run.at("first").get<int64_t>();
  const auto last = run.at("last").get<int64_t>();
  const int64_t step = first <= last ? 1 : -1;
  for (int64_t frame = first; frame != last + step; frame += step) {
    const Image image = frame_of(run.at("clip"), frame);
    const ImageView view = view_of(image);
    auto found = session->step(view, frame);
    bool corrected = false;
    for (const auto& [when, prompt] : late) {
      if (when != frame) continue;
      session->add(prompt, frame);
      corrected = true;
    }
    if (corrected) found = session->step(view, frame);
    std::ranges::move(found, std::back_inserter(results));
    if (cut > 0 && std::abs(frame - first) + 1 == cut) {
      const auto file = std::filesystem::path(testing::TempDir()) / "session.bin";
      session->save(file);
      session = std::make_unique<VideoSession>(model);
      session->load(file);
    }
  }
  std::ranges::move(session->finish(), std::back_inserter(results));
  return results;
}

double score_of(const json& expected) {
  if (expected.contains("object_score")) return expected.at("object_score");
  return 1.0 / (1.0 + std::exp(-expected.at("object_score_logit").get<double>()));
}

/// What is shown of the reference's frame: visual sessions leave out objects without a pixel.
std::vector<json> shown(const json& frame, bool visual) {
  std::vector<json> objects;
  for (const json& object : frame.at("objects")) {
    if (!visual || object.at("area") > 0) objects.push_back(object);
  }
  return objects;
}

/// Worst of all objects, for the log.
struct Worst {
  double iou = 1;
  double score = 0;
  size_t objects = 0;
};

void compare(const json& run, const std::vector<FrameResult>& found, Worst& worst) {
  const std::string name = run.at("name");
  const json& frames = run.at("frames");
  ASSERT_EQ(found.size(), frames.size()) << name;
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string where = name + ", frame " + std::to_string(found[i].frame);
    ASSERT_EQ(found[i].frame, frames[i].at("frame").get<int64_t>()) << name;
    const std::vector<json> expected = shown(frames[i], run.contains("prompts"));
    ASSERT_EQ(found[i].objects.size(), expected.size()) << where;
    for (size_t j = 0; j < expected.size(); ++j) {
      const TrackedObject& object = found[i].objects[j];
      ASSERT_EQ(object.id, expected[j].at("id").get<int64_t>()) << where;
      if (expected[j].contains("prompt")) {
        EXPECT_EQ(object.prompt, expected[j].at("prompt").get<std::string>()) << where;
      }
      const auto counts = expected[j].at("mask").at("counts").get<std::string>();
      const double iou =
          mask_iou(rle_decode(object.counts, found[i].height, found[i].width),
                   rle_decode(rle_from_string(counts), found[i].height, found[i].width));
      const double score =
          std::abs(static_cast<double>(object.object_score) - score_of(expected[j]));
      EXPECT_GT(iou, thresholds().at("result").at("mask_iou")) << where << ", id " << object.id;
      EXPECT_LT(score, thresholds().at("result").at("score_error")) << where;
      worst.iou = std::min(worst.iou, iou);
      worst.score = std::max(worst.score, score);
      ++worst.objects;
    }
  }
}

class TracksParity : public testing::TestWithParam<Reference> {
 protected:
  [[nodiscard]] static Model model() { return Model(export_model(GetParam())); }
};

TEST_P(TracksParity, FollowsTheReferencesObjectsThroughTheClips) {
  const Model tracker = model();
  for (const json& run : tracks_of(GetParam())) {
    Worst worst;
    compare(run, track(tracker, run, 0), worst);
    EXPECT_GT(worst.objects, 0U);
    std::cout << name_of(GetParam()) << ' ' << run.at("name").get<std::string>() << ": "
              << worst.objects << " objects, lowest IoU " << worst.iou << ", score error "
              << worst.score << '\n';
  }
}

TEST_P(TracksParity, ASavedSessionGoesOnInAnotherOne) {
  const Model tracker = model();
  for (const json& run : tracks_of(GetParam())) {
    Worst worst;
    compare(run, track(tracker, run, 7), worst);
  }
}

std::optional<ErrorCode> refusal(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(VideoSessionModels, NeedTheTracker) {
  const Model detector(export_model({Semantics::kHf, "tiny_a"}));
  EXPECT_EQ(refusal([&] { VideoSession session(detector); }), ErrorCode::kBadInput);
}

TEST(VideoSessionFiles, OfAnotherCheckpointAreRefusedAndTheSessionStays) {
  const auto file = std::filesystem::path(testing::TempDir()) / "of_video_c.bin";
  VideoSession(Model(export_model({Semantics::kHf, "video_c"}))).save(file);
  VideoSession session(Model(export_model({Semantics::kHf, "video_a"})));
  ObjectPrompt click;
  click.id = 3;
  click.points = {{20, 20, true}};
  session.add(click, 0);
  EXPECT_EQ(refusal([&] { session.load(file); }), ErrorCode::kBadInput);
  EXPECT_EQ(refusal([&] { session.load(file.string() + ".none"); }), ErrorCode::kBadInput);
  session.remove(3);
}

TEST(VideoSessionSteps, ThatThrowLeaveTheSessionAsItWas) {
  VideoSession session(Model(export_model({Semantics::kHf, "video_c"})));
  ObjectPrompt click;
  click.points = {{24, 26, true}};
  session.add(click, 0);
  const Image image = frame_of("corner", 0);
  const ImageView view = view_of(image);
  ImageView cut = view;
  cut.size_bytes = 10;
  EXPECT_EQ(refusal([&] { (void)session.step(cut, 0); }), ErrorCode::kBadInput);
  EXPECT_TRUE(session.objects().empty());
  EXPECT_EQ(session.last_frame(), std::nullopt);
  EXPECT_EQ(session.step(view, 0).size(), 1U);
  EXPECT_EQ(session.last_frame(), 0);
  EXPECT_EQ(session.objects(), std::vector<int64_t>{1});
}

/// The checkpoints of which clips are stored.
std::vector<Reference> tracked_checkpoints() {
  std::vector<Reference> found;
  for (const Semantics semantics : {Semantics::kHf, Semantics::kMeta}) {
    for (const char* name : {"video_a", "video_b", "video_c"}) {
      if (std::filesystem::exists(tracks_path({semantics, name})))
        found.push_back({semantics, name});
    }
  }
  return found;
}

TEST(TracksGoldens, AreThereForTwoCheckpointsOfEachSemanticsAtLeast) {
  const std::vector<Reference> found = tracked_checkpoints();
  EXPECT_GE(std::ranges::count(found, Semantics::kHf, &Reference::semantics), 2);
  EXPECT_GE(std::ranges::count(found, Semantics::kMeta, &Reference::semantics), 2);
}

INSTANTIATE_TEST_SUITE_P(Video, TracksParity, testing::ValuesIn(tracked_checkpoints()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace sam3trt::parity
