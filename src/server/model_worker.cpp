#include "server/model_worker.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "segmenter/shared_model.hpp"

namespace sam3trt {
namespace {

using Clock = std::chrono::steady_clock;

bool same(const DetectOptions& a, const DetectOptions& b) {
  return a.thresholds.score == b.thresholds.score && a.thresholds.mask == b.thresholds.mask &&
         a.masks == b.masks;
}

bool same(const InteractOptions& a, const InteractOptions& b) {
  return a.multimask == b.multimask && a.logits == b.logits &&
         a.candidate_logits == b.candidate_logits;
}

/// What the calls on each image of some features ask for, one after the other, so that they go
/// through the model together.
template <typename Asked>
class Merged {
 public:
  explicit Merged(size_t images) : all_(images) {}

  /// The place of the first of them.
  size_t add(size_t image, std::span<const Asked> asked) {
    const size_t first = all_[image].size();
    all_[image].insert(all_[image].end(), asked.begin(), asked.end());
    return first;
  }

  [[nodiscard]] std::vector<std::span<const Asked>> spans() const {
    return {all_.begin(), all_.end()};
  }

 private:
  std::vector<std::vector<Asked>> all_;
};

/// Some entries of a result, for one of the calls that it is of.
template <typename Entry>
std::vector<Entry> part_of(std::vector<Entry>& entries, size_t first, size_t count) {
  const auto begin = entries.begin() + static_cast<std::ptrdiff_t>(first);
  return {std::make_move_iterator(begin),
          std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(count))};
}

/// The result without its prompts and objects.
ImageResult frame_of(const ImageResult& from, double encode_ms, const Call& call) {
  ImageResult result;
  result.width = from.width;
  result.height = from.height;
  result.timings_ms = from.timings_ms;
  result.timings_ms.vision_encoder += encode_ms;
  result.timings_ms.decode = call.image.decode_ms;
  result.error = from.error;
  result.error_code = from.error_code;
  return result;
}

}  // namespace

void ModelWorker::warm_up() {
  constexpr int64_t kSide = 64;
  Image image{kSide, kSide, std::vector<uint8_t>(3 * kSide * kSide, 128)};
  const ImageView view = view_of(image);
  try {
    const Features features = session_.encode({&view, 1});
    const std::vector<Prompt> prompts = {{"object", {}}};
    const std::span<const Prompt> asked(prompts);
    static_cast<void>(session_.detect(features, {&asked, 1}, {}));
    if (!session_.model().loaded()->can_interact()) return;
    std::vector<ObjectPrompt> objects(1);
    objects.front().points.push_back({kSide / 2.0, kSide / 2.0});
    const std::span<const ObjectPrompt> pointed(objects);
    static_cast<void>(session_.interact(features, {&pointed, 1}, {}));
  } catch (const std::exception& error) {
    log(LogLevel::kWarning, std::string("the first run of the model failed: ") + error.what());
  }
}

void ModelWorker::run() {
  while (true) {
    const std::vector<Call*> calls = queue_.take(device_);
    if (calls.empty()) return;
    try {
      work(calls);
    } catch (...) {
      for (Call* call : calls) call->error = std::current_exception();
    }
    queue_.done(calls);
  }
}

void ModelWorker::work(std::span<Call* const> calls) {
  const auto kept = cache_.find(calls.front()->image.digest);
  std::vector<Placed> placed;
  std::vector<Call*> fresh;
  std::vector<ServedImage> images;  // of `fresh`, each once
  for (Call* call : calls) {
    const auto place = cache_.peek(call->image.digest);
    if (kept && place && place->features == kept->features) {
      placed.push_back({call, place->index});
      continue;
    }
    fresh.push_back(call);
    if (std::ranges::find(images, call->image.digest, &ServedImage::digest) == images.end()) {
      images.push_back(call->image);
    }
  }
  {
    const std::scoped_lock lock(counts_.mutex);
    counts_.misses += images.size();
    counts_.hits += calls.size() - images.size();
  }
  if (!placed.empty()) answer({kept->features, 0}, placed);
  const size_t batch = session_.model().max_images();
  for (size_t first = 0; first < images.size(); first += batch) {
    const auto begin = images.begin() + static_cast<std::ptrdiff_t>(first);
    const auto count = static_cast<std::ptrdiff_t>(std::min(batch, images.size() - first));
    const std::vector<ServedImage> part(begin, begin + count);
    std::vector<Call*> its;
    std::ranges::copy_if(fresh, std::back_inserter(its), [&](const Call* call) {
      return std::ranges::find(part, call->image.digest, &ServedImage::digest) != part.end();
    });
    try {
      encode_and_answer(its, part);
    } catch (...) {
      for (Call* call : its) call->error = std::current_exception();
    }
  }
}

void ModelWorker::encode_and_answer(std::span<Call* const> calls,
                                    const std::vector<ServedImage>& images) {
  std::vector<ImageView> views;
  views.reserve(images.size());
  for (const ServedImage& image : images) views.push_back(view_of(*image.image));
  Encoded encoded;
  const Clock::time_point begin = Clock::now();
  try {
    encoded.features = std::make_shared<const Features>(session_.encode(views));
  } catch (const Error&) {
    if (images.size() == 1) throw;
  }
  if (!encoded.features) {  // one of them spoils the batch
    for (const ServedImage& image : images) {
      std::vector<Call*> its;
      std::ranges::copy_if(calls, std::back_inserter(its),
                           [&](const Call* call) { return call->image.digest == image.digest; });
      try {
        encode_and_answer(its, {image});
      } catch (...) {
        for (Call* call : its) call->error = std::current_exception();
      }
    }
    return;
  }
  encoded.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - begin).count() /
                         static_cast<double>(images.size());
  {
    const std::scoped_lock lock(counts_.mutex);
    ++counts_.batches[images.size()];
  }
  cache_.add(device_, images, encoded.features);
  std::vector<Placed> placed;
  placed.reserve(calls.size());
  for (Call* call : calls) {
    const auto image = std::ranges::find(images, call->image.digest, &ServedImage::digest);
    placed.push_back({call, static_cast<size_t>(image - images.begin())});
  }
  answer(encoded, placed);
}

void ModelWorker::answer(const Encoded& encoded, std::span<const Placed> calls) {
  std::vector<Placed> rest(calls.begin(), calls.end());
  std::erase_if(rest,
                [](const Placed& placed) { return placed.call->kind == Call::Kind::kEncode; });
  while (!rest.empty()) {
    const Call& first = *rest.front().call;
    const auto goes_apart =
        std::stable_partition(rest.begin(), rest.end(), [&](const Placed& placed) {
          return placed.call->kind == first.kind &&
                 (first.kind == Call::Kind::kDetect ? same(placed.call->detect, first.detect)
                                                    : same(placed.call->interact, first.interact));
        });
    const std::span<const Placed> together(rest.begin(), goes_apart);
    if (first.kind == Call::Kind::kDetect) {
      detect(encoded, together);
    } else {
      interact(encoded, together);
    }
    rest.erase(rest.begin(), goes_apart);
  }
}

template <typename Asked, typename Found, typename Run>
void ModelWorker::answer_merged(const Encoded& encoded, std::span<const Placed> calls,
                                std::span<const Asked> Call::*asked,
                                std::vector<Found> ImageResult::*found, const Run& run) {
  Merged<Asked> merged(encoded.features->images());
  std::vector<size_t> first;
  first.reserve(calls.size());
  for (const Placed& placed : calls) first.push_back(merged.add(placed.index, placed.call->*asked));
  try {
    std::vector<ImageResult> results = run(merged.spans());
    const bool failed =
        std::ranges::any_of(results, [](const ImageResult& one) { return one.error.has_value(); });
    if (!failed || calls.size() == 1) {
      for (size_t i = 0; i < calls.size(); ++i) {
        Call& call = *calls[i].call;
        ImageResult& all = results[calls[i].index];
        call.result = frame_of(all, encoded.milliseconds, call);
        if (all.error) continue;
        call.result.*found = part_of(all.*found, first[i], (call.*asked).size());
      }
      return;
    }
  } catch (...) {
    if (calls.size() == 1) {
      calls.front().call->error = std::current_exception();
      return;
    }
  }
  for (const Placed& placed : calls) {  // one of them fails
    answer_merged(encoded, {&placed, 1}, asked, found, run);
  }
}

void ModelWorker::detect(const Encoded& encoded, std::span<const Placed> calls) {
  answer_merged(encoded, calls, &Call::prompts, &ImageResult::prompts,
                [&](std::span<const std::span<const Prompt>> prompts) {
                  return session_.detect(*encoded.features, prompts, calls.front().call->detect);
                });
}

void ModelWorker::interact(const Encoded& encoded, std::span<const Placed> calls) {
  answer_merged(encoded, calls, &Call::objects, &ImageResult::objects,
                [&](std::span<const std::span<const ObjectPrompt>> objects) {
                  return session_.interact(*encoded.features, objects,
                                           calls.front().call->interact);
                });
}

}  // namespace sam3trt
