#include "track_job.hpp"

#include <chrono>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/rounded.hpp"
#include "stop_signals.hpp"
#include "track_progress.hpp"
#include "tracks/session_tracker.hpp"
#include "tracks/write_behind.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

/// A rate for overlays of what has none.
constexpr double kDefaultRate = 25.0;

/// For results that are not written yet when a signal comes.
constexpr std::chrono::seconds kTimeToWrite{2};

/// What is known of an object at the end.
struct Seen {
  std::optional<std::string> prompt;
  int64_t first = 0;
  int64_t last = 0;
  int64_t frames = 0;
};

/// Hands results to the outputs, on a writer's thread. A signal's thread may end it at any time
/// (interrupt).
class Sink : public TrackSink {
 public:
  Sink(const TrackJob& job, const VideoInfo& video, CommandContext& context)
      : job_(job), context_(context), progress_(video.estimate) {}

  void add(FrameResult result, VideoFrame frame) override {
    const std::scoped_lock lock(mutex_);
    job_.output.add(result, frame.time);
    if (job_.overlay.is_wanted()) job_.overlay.add(result, frame.image);
    size_t objects = 0;
    for (const TrackedObject& object : result.objects) {
      if (object.area == 0) continue;
      ++objects;
      const auto [known, fresh] = seen_.try_emplace(object.id);
      Seen& seen = known->second;
      if (fresh) seen = {object.prompt, result.frame, result.frame, 0};
      seen.first = std::min(seen.first, result.frame);
      seen.last = std::max(seen.last, result.frame);
      ++seen.frames;
    }
    progress_.advance(objects);
  }

  void add_error(VideoFrame frame) override {
    const std::scoped_lock lock(mutex_);
    job_.output.add_error(frame.index, frame.time, *frame.error);
    ++errors_;
    say(*frame.error);
    progress_.advance(0);
  }

  [[nodiscard]] bool wants_images() const override { return job_.overlay.is_wanted(); }

  /// What is wrong, without an end of the run; the exit code says so.
  void report(const std::string& message) {
    const std::scoped_lock lock(mutex_);
    say(message);
  }

  /// Everything is complete.
  void finish() {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(finished_, true)) return;
    job_.overlay.finish();
    job_.output.finish();
  }

  /// The program is about to die: what is there is made complete, and nothing comes after it.
  void interrupt() {
    mutex_.lock();  // for ever
    if (finished_) return;
    job_.overlay.finish();
    job_.output.finish();
  }

  void print_summary(const VideoInfo& video) {
    progress_.clear();
    if (!context_.json) {
      std::cout << video.path << ": " << progress_.frames()
                << (progress_.frames() == 1 ? " frame, " : " frames, ") << seen_.size()
                << (seen_.size() == 1 ? " object\n" : " objects\n");
      return;
    }
    Json summary = Json::parse(to_json(job_.header));
    summary["video"] = {{"path", video.path}, {"width", video.width}, {"height", video.height}};
    summary["output"] = job_.options.output;
    summary["frames"] = progress_.frames();
    summary["errors"] = errors_;
    summary["seconds"] = rounded(progress_.seconds(), 3);
    summary["objects"] = Json::array();
    for (const auto& [id, seen] : seen_) {
      summary["objects"].push_back({{"id", id},
                                    {"prompt", seen.prompt ? Json(*seen.prompt) : Json()},
                                    {"first", seen.first},
                                    {"last", seen.last},
                                    {"frames", seen.frames}});
    }
    std::cout << summary.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  }

 private:
  void say(const std::string& message) {
    progress_.clear();
    std::cerr << "sam3trt: error: " + message + "\n";  // at once: other threads write there, too
    context_.exit_code = 2;
  }

  const TrackJob& job_;
  CommandContext& context_;
  TrackProgress progress_;
  std::mutex mutex_;
  bool finished_ = false;
  std::map<int64_t, Seen> seen_;
  int64_t errors_ = 0;
};

/// Makes what there is complete when the program is stopped by a signal, and when it fails. Results
/// that wait for being written when a signal comes are written first, as far as that takes no more
/// than two seconds; those that come meanwhile may be. Those that the tracker holds back are lost.
class EndWithSink {
 public:
  /// `writer` hands results to `sink`.
  EndWithSink(Sink& sink, WriteBehind& writer) : sink_(sink), writer_(writer) {
    set_stop_action([this] {
      writer_.drain(kTimeToWrite);
      sink_.interrupt();
      const std::scoped_lock lock(mutex_);
      if (source_) source_->cancel();
    });
  }
  ~EndWithSink() {
    writer_.drain();
    try {
      sink_.finish();
    } catch (const std::exception& error) {
      log(LogLevel::kWarning, error.what());
    }
    set_stop_action({});
  }
  EndWithSink(const EndWithSink&) = delete;
  EndWithSink& operator=(const EndWithSink&) = delete;

  /// What reads it is ended with the program.
  void watch(std::shared_ptr<FrameSource> source) {
    const std::scoped_lock lock(mutex_);
    source_ = std::move(source);
  }

 private:
  Sink& sink_;
  WriteBehind& writer_;
  std::mutex mutex_;
  std::shared_ptr<FrameSource> source_;
};

}  // namespace

void run_track_job(const TrackJob& job, std::unique_ptr<FrameSource> source,
                   CommandContext& context) {
  const VideoInfo video = source->info();
  const TrackPasses passes = plan_passes(job.plan);
  const bool whole = !passes.second && !passes.first.first;
  SessionTracker tracker(Model(job.files, job.options.load),
                         make_track_options(job.options, whole ? video.length : std::nullopt));
  const std::shared_ptr<FrameSource> first = std::move(source);
  const auto name_of = [first](int64_t frame) { return first->name_of(frame); };
  job.output.begin(job.header, video, name_of);
  job.overlay.begin(job.options.fps > 0 ? job.options.fps : video.fps.value_or(kDefaultRate),
                    name_of);
  Sink sink(job, video, context);
  // Outlives `end`: the program that writes a video of overlays ends with the writer's thread.
  WriteBehind writer(sink);
  EndWithSink end(sink, writer);
  TrackLoop loop(tracker, job.plan, writer);
  end.watch(first);
  loop.run(*first);
  if (passes.second) {
    const std::shared_ptr<FrameSource> second =
        open_video(job.options.video, "--video", *passes.second);
    end.watch(second);
    loop.run(*second);
  }
  writer.finish();
  for (const std::string& sentence : loop.missed()) sink.report(sentence);
  sink.finish();
  if (!job.output.to_standard_output()) sink.print_summary(video);
}

}  // namespace sam3trt
