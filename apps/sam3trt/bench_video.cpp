#include "bench_video.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.hpp"
#include "bench_times.hpp"
#include "runtime/model_files.hpp"
#include "sam3trt/video.hpp"
#include "verify/built_in_images.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

/// By then an object has all the memories and pointers that a frame looks at.
constexpr int64_t kFull = 20;
constexpr int64_t kSamples = 20;
constexpr int64_t kStay = 25;

/// Resident memory of this process.
uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  file >> all >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// A click somewhere in the clip, another place for each id.
ObjectPrompt click(int64_t id) {
  ObjectPrompt prompt;
  prompt.id = id;
  const double turn = 0.618034 * static_cast<double>(id);  // spreads evenly
  prompt.points = {
      {static_cast<double>(kClipWidth) * (turn - std::floor(turn)),
       static_cast<double>(kClipHeight) * std::fmod(0.5 + 0.137 * static_cast<double>(id), 1.0),
       true}};
  return prompt;
}

void add_clicks(VideoSession& session, size_t objects) {
  for (size_t i = 0; i < objects; ++i) session.add(click(static_cast<int64_t>(i)), 0);
}

/// What a run asks for, beside its frames.
struct Scenario {
  const char* name = "";
  TrackOptions options{};
  std::function<void(VideoSession&, int64_t frame)> before_frame;
};

class VideoRun {
 public:
  VideoRun(const ModelFiles& files, const VideoBench& bench)
      : bench_(bench), model_(files, bench.load) {}

  Json run() {
    Json json = {{"backend", model_.backend()}, {"width", kClipWidth},
                 {"height", kClipHeight},       {"frames", bench_.frames},
                 {"timed_from_frame", kFull},   {"runs", Json::array()}};
    for (const size_t objects : bench_.objects) {
      for (const std::string& prompts : bench_.prompts) {
        json["runs"].push_back(measure(scenario(prompts, objects), objects));
      }
    }
    return json;
  }

 private:
  [[nodiscard]] Scenario scenario(const std::string& prompts, size_t objects) const {
    if (prompts == "clicks") return clicked(objects);
    if (prompts == "text") return named(objects);
    return prompts == "both" ? both(objects) : changing(objects);
  }

  [[nodiscard]] static Scenario clicked(size_t objects) {
    return {"clicks", {}, [objects](VideoSession& session, int64_t frame) {
              if (frame == 0) add_clicks(session, objects);
            }};
  }

  [[nodiscard]] Scenario named(size_t objects) const {
    Scenario scenario{"text", {}, [this](VideoSession& session, int64_t frame) {
                        if (frame == 0) session.add(Prompt{bench_.text, {}});
                      }};
    scenario.options.max_objects = objects;
    return scenario;
  }

  [[nodiscard]] Scenario both(size_t objects) const {
    return {"text and clicks", {}, [objects, this](VideoSession& session, int64_t frame) {
              if (frame > 0) return;
              session.add(Prompt{bench_.text, {}});
              add_clicks(session, objects);
            }};
  }

  [[nodiscard]] static Scenario changing(size_t objects) {
    return {"clicks that come and go", {}, [objects](VideoSession& session, int64_t frame) {
              const auto count = static_cast<int64_t>(objects);
              if (frame == 0) {
                add_clicks(session, objects);
              } else if (frame % kStay == 0) {
                const int64_t change = frame / kStay - 1;
                session.remove(change);
                session.add(click(change + count), frame);
              }
            }};
  }

  [[nodiscard]] Json sample(int64_t frame) const {
    return {{"frame", frame},
            {"host_bytes", resident_bytes()},
            {"device_bytes", model_.device_memory()}};
  }

  /// The first frame of another clip, when all that is done once has been done.
  static double first_frame(VideoSession& session, const Scenario& scenario) {
    session.reset();
    scenario.before_frame(session, 0);
    const Image image = clip_frame(0);
    const auto begin = BenchClock::now();
    static_cast<void>(session.step(view_of(image), 0));
    return milliseconds(BenchClock::now() - begin);
  }

  Json measure(const Scenario& scenario, size_t objects) {
    TrackOptions options = scenario.options;
    options.live = bench_.live;
    VideoSession session(model_, options);
    std::vector<double> times;
    times.reserve(static_cast<size_t>(bench_.frames));
    std::optional<double> first;
    size_t shown = 0;
    size_t followed = 0;
    Json memory = Json::array();
    const int64_t every = std::max<int64_t>(bench_.frames / kSamples, 1);
    for (int64_t frame = 0; frame < bench_.frames; ++frame) {
      scenario.before_frame(session, frame);
      const Image image = clip_frame(frame);
      const auto begin = BenchClock::now();
      const std::vector<FrameResult> results = session.step(view_of(image), frame);
      const double time = milliseconds(BenchClock::now() - begin);
      if (frame == 0) first = time;
      if (frame >= kFull) times.push_back(time);
      for (const FrameResult& result : results) shown += result.objects.size();
      followed += session.objects().size();
      if ((frame + 1) % every == 0) memory.push_back(sample(frame));
    }
    for (const FrameResult& result : session.finish()) shown += result.objects.size();
    const Statistics statistics = statistics_of(std::move(times));
    const auto a_frame = [this](size_t all) {
      return std::round(100 * static_cast<double>(all) / static_cast<double>(bench_.frames)) / 100;
    };
    Json entry = {{"prompts", scenario.name},
                  {"objects", objects},
                  {"objects_followed", a_frame(followed)},
                  {"objects_on_a_frame", a_frame(shown)},
                  {"first_frame_ms", *first},
                  {"first_frame_of_another_clip_ms", first_frame(session, scenario)},
                  {"frame", to_json(statistics)},
                  {"frames_per_s", std::round(1e4 / statistics.median) / 10.0}};
    entry["memory"] = std::move(memory);
    return entry;
  }

  const VideoBench& bench_;
  Model model_;
};

}  // namespace

Json bench_video(const ModelFiles& files, const VideoBench& bench) {
  if (bench.frames <= kFull) {
    throw_bad_input("--frames " + std::to_string(bench.frames) + ": frames are timed from the " +
                    std::to_string(kFull) + "th on; give more");
  }
  return VideoRun(files, bench).run();
}

void print_video_bench(const Json& result) {
  std::cout << "a clip of " << result.at("frames") << " frames in "
            << result.at("backend").get<std::string>()
            << ", pixels in memory to run lengths\n"
               "prompts                  objects  followed  on a frame"
               "     first     another     median    p95 ms    frames/s\n";
  for (const Json& run : result.at("runs")) {
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), "%-25s%7d%10.2f%12.2f%10.1f%12.1f%11.2f%10.2f%12.1f\n",
                  run.at("prompts").get<std::string>().c_str(), run.at("objects").get<int>(),
                  run.at("objects_followed").get<double>(),
                  run.at("objects_on_a_frame").get<double>(),
                  run.at("first_frame_ms").get<double>(),
                  run.at("first_frame_of_another_clip_ms").get<double>(),
                  run.at("frame").at("median_ms").get<double>(),
                  run.at("frame").at("p95_ms").get<double>(), run.at("frames_per_s").get<double>());
    std::cout << line.data();
  }
}

}  // namespace sam3trt
