#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "answerer.hpp"
#include "base/error.hpp"
#include "checkpoint/strict_json.hpp"
#include "image/image.hpp"
#include "metrics.hpp"
#include "prompts/prompt_file.hpp"
#include "sam3trt/video.hpp"
#include "server/fields.hpp"
#include "server/kserve_model.hpp"

namespace sam3trt {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr size_t kMaxWaiting = 8;  ///< Frames of one sequence.
constexpr int64_t kMaxFrames = 1'000'000'000;

const KserveTensor* input_of(const KserveRequest& request, const char* name) {
  const auto found = std::ranges::find(request.inputs, std::string(name), &KserveTensor::name);
  return found == request.inputs.end() ? nullptr : &*found;
}

Json json_of(const std::string& text, const std::string& where) {
  return parse_strict_json(std::as_bytes(std::span(text)), where + ": expected JSON");
}

/// A request, read: an image and what to follow from it on.
struct Frame {
  std::shared_ptr<TritonRequest> request;
  std::string image;
  std::vector<Prompt> concepts;
  std::vector<ObjectPrompt> objects;
  std::optional<std::string> options;
  bool ends = false;
  int64_t index = 0;
};

TrackOptions options_of(const Frame& frame) {
  TrackOptions options;
  if (!frame.options) return options;
  const std::string where = "input \"options\"";
  const Json json = json_of(*frame.options, where);
  const Fields fields(json, where,
                      {"live", "hot_start", "det_nms", "fill_holes", "max_objects", "length"});
  options.hot_start = fields.integer("hot_start", 0, 1000);
  options.live = fields.flag("live").value_or(false);
  options.det_nms = fields.number("det_nms", 0, 1);
  options.fill_holes = fields.integer("fill_holes", 0, 1'000'000'000);
  options.frames = fields.integer("length", 1, kMaxFrames);
  if (const auto count = fields.integer("max_objects", 1, 1'000'000)) {
    options.max_objects = static_cast<size_t>(*count);
  }
  return options;
}

/// Each is an object of a file of prompts, without a frame and an image of its own.
std::vector<ObjectPrompt> objects_of(const std::vector<std::string>& texts) {
  const std::string where = "input \"objects\"";
  Json list = Json::array();
  for (const std::string& text : texts) {
    list.push_back(json_of(text, where));
    const Fields fields(list.back(), where, {"id", "points", "point_labels", "box", "mask"});
  }
  std::vector<ObjectPrompt> objects;
  if (list.empty()) return objects;
  const std::string file = Json{{"objects", list}}.dump();
  for (PlacedObject& one :
       parse_prompt_file(std::as_bytes(std::span(file)), where, std::nullopt).objects) {
    objects.push_back(std::move(one.prompt));
  }
  return objects;
}

Frame read_frame(std::shared_ptr<TritonRequest> request) {
  Frame frame;
  frame.ends = request->ends();
  const KserveRequest asked = request->read();
  const KserveTensor* image = input_of(asked, "image");
  if (image == nullptr) throw_bad_input("expected input \"image\"");
  frame.image = file_bytes_of(image->texts[0]);
  frame.concepts = kserve_prompts(asked);
  if (const KserveTensor* objects = input_of(asked, "objects")) {
    frame.objects = objects_of(objects->texts);
  }
  if (const KserveTensor* options = input_of(asked, "options")) frame.options = options->texts[0];
  if (frame.options && !request->starts()) {
    throw_bad_input("input \"options\": expected with the first frame only");
  }
  if (frame.image.empty() && !frame.ends) {
    throw_bad_input("input \"image\": only the end of a sequence may be empty");
  }
  frame.request = std::move(request);
  return frame;
}

/// The frames that are final now. An image that cannot be read leaves the session as it was.
std::vector<FrameResult> step(VideoSession& session, const Frame& frame) {
  std::optional<Image> image;
  if (!frame.image.empty()) {
    image = decode_image(std::as_bytes(std::span(frame.image)), "input \"image\"");
  }
  for (const Prompt& prompt : frame.concepts) session.add(prompt);
  for (const ObjectPrompt& object : frame.objects) session.add(object, frame.index);
  std::vector<FrameResult> found;
  if (image) found = session.step(view_of(*image), frame.index);
  if (frame.ends) {
    for (FrameResult& one : session.finish()) found.push_back(std::move(one));
  }
  return found;
}

/// A row for each object of each frame.
std::vector<KserveTensor> tensors_of(const std::vector<FrameResult>& frames) {
  std::map<std::string, KserveTensor> tensors;
  for (const auto& [name, type] : std::map<std::string, std::string>{{"final_frames", "INT32"},
                                                                     {"frames", "INT32"},
                                                                     {"ids", "INT64"},
                                                                     {"prompts", "BYTES"},
                                                                     {"scores", "FP32"},
                                                                     {"object_scores", "FP32"},
                                                                     {"confirmed", "BOOL"},
                                                                     {"boxes", "FP32"},
                                                                     {"rle", "BYTES"}}) {
    tensors[name] = {name, type, {}};
  }
  int64_t rows = 0;
  for (const FrameResult& frame : frames) {
    tensors["final_frames"].numbers.push_back(static_cast<double>(frame.frame));
    for (const TrackedObject& object : frame.objects) {
      ++rows;
      tensors["frames"].numbers.push_back(static_cast<double>(frame.frame));
      tensors["ids"].numbers.push_back(static_cast<double>(object.id));
      tensors["prompts"].texts.push_back(object.prompt.value_or(""));
      tensors["scores"].numbers.push_back(object.score);
      tensors["object_scores"].numbers.push_back(object.object_score);
      tensors["confirmed"].numbers.push_back(object.confirmed ? 1 : 0);
      auto& boxes = tensors["boxes"].numbers;
      boxes.insert(boxes.end(), object.box.begin(), object.box.end());
      tensors["rle"].texts.push_back(kserve_rle(object.counts, frame.width, frame.height));
    }
  }
  std::vector<KserveTensor> all;
  for (auto& [name, tensor] : tensors) {
    tensor.shape = {name == "final_frames" ? static_cast<int64_t>(frames.size()) : rows};
    if (name == "boxes") tensor.shape.push_back(4);
    all.push_back(std::move(tensor));
  }
  return all;
}

/// A video that a client sends: its session, and a thread that works for it in order.
class Sequence {
 public:
  Sequence(const Model& model, const TrackOptions& options)
      : session_(model, options), thread_([this] { run(); }) {}
  /// After what waits has been answered.
  ~Sequence() {
    {
      const std::scoped_lock lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  void add(Frame frame) {
    const std::scoped_lock lock(mutex_);
    if (waiting_.size() >= kMaxWaiting) {
      throw Error(ErrorCode::kUnavailable, std::to_string(kMaxWaiting) +
                                               " frames of this sequence wait; send the next after "
                                               "an answer");
    }
    frame.index = frames_++;
    waiting_.push_back(std::move(frame));
    changed_.notify_all();
  }

  [[nodiscard]] bool is_idle_since(Clock::time_point time) const {
    const std::scoped_lock lock(mutex_);
    return waiting_.empty() && used_ < time;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const Frame& frame = waiting_.front();  // stays until it is answered, and counts
      lock.unlock();
      std::vector<KserveTensor> answer;
      std::exception_ptr error;
      try {
        answer = tensors_of(step(session_, frame));
      } catch (...) {
        error = std::current_exception();
      }
      const std::shared_ptr<TritonRequest> request = frame.request;
      lock.lock();
      waiting_.pop_front();
      used_ = Clock::now();
      lock.unlock();
      if (error) {
        request->fail(error);
      } else {
        request->send(answer);
      }
      lock.lock();
    }
  }

  VideoSession session_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Frame> waiting_;
  Clock::time_point used_ = Clock::now();
  int64_t frames_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

class SequenceAnswerer : public Answerer {
 public:
  SequenceAnswerer(Model model, double idle_seconds)
      : model_(std::move(model)), idle_(idle_seconds), sweeper_([this] { sweep(); }) {}
  ~SequenceAnswerer() override {
    {
      const std::scoped_lock lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    sweeper_.join();
  }

  void take(std::shared_ptr<TritonRequest> request) override {
    const std::string name = request->sequence();
    if (request->starts()) remove(name);
    try {
      Frame frame = read_frame(request);
      std::shared_ptr<Sequence> sequence =
          request->starts() ? std::make_shared<Sequence>(model_, options_of(frame)) : find(name);
      if (request->ends()) {
        remove(name);
      } else if (request->starts()) {
        insert(name, sequence);
      }
      sequence->add(std::move(frame));
      if (request->ends()) end(std::move(sequence));
    } catch (...) {
      request->fail(std::current_exception());
      if (request->ends()) remove(name);
    }
  }

 private:
  std::shared_ptr<Sequence> find(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    const auto found = sequences_.find(name);
    if (found != sequences_.end()) return found->second;
    throw_bad_input("sequence " + name +
                    " is not known: its first frame was refused, or it was idle for too long; "
                    "start it again");
  }

  void insert(const std::string& name, const std::shared_ptr<Sequence>& sequence) {
    const std::scoped_lock lock(mutex_);
    sequences_[name] = sequence;
    followed_.add(1);
  }

  /// Where there is one; what waits is still answered.
  void remove(const std::string& name) {
    const std::scoped_lock lock(mutex_);
    const auto found = sequences_.find(name);
    if (found == sequences_.end()) return;
    ended_.push_back(std::move(found->second));
    sequences_.erase(found);
    followed_.add(-1);
    changed_.notify_all();
  }

  /// Lets the sweeper wait for what the sequence still answers.
  void end(std::shared_ptr<Sequence> sequence) {
    const std::scoped_lock lock(mutex_);
    ended_.push_back(std::move(sequence));
    changed_.notify_all();
  }

  /// Ends what was removed, and forgets sequences that Triton has given up, about which it does not
  /// tell a model.
  void sweep() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      changed_.wait_for(lock, idle_ / 4, [this] { return ending_ || !ended_.empty(); });
      const auto oldest = Clock::now() - std::chrono::duration_cast<Clock::duration>(idle_);
      for (auto at = sequences_.begin(); at != sequences_.end();) {
        if (at->second->is_idle_since(oldest)) {
          ended_.push_back(std::move(at->second));
          at = sequences_.erase(at);
          followed_.add(-1);
        } else {
          ++at;
        }
      }
      auto ended = std::exchange(ended_, {});
      lock.unlock();
      ended.clear();
      lock.lock();
    }
  }

  Model model_;
  std::chrono::duration<double> idle_;
  Metric followed_{"sam3_sequences", "sam3trt: videos that are followed", Metric::Kind::kGauge};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Sequence>> sequences_;
  std::list<std::shared_ptr<Sequence>> ended_;
  bool ending_ = false;
  std::thread sweeper_;
};

}  // namespace

std::unique_ptr<Answerer> answer_sequences(const Model& model, double idle_seconds) {
  return std::make_unique<SequenceAnswerer>(model, idle_seconds);
}

}  // namespace sam3trt
