#include "server/service.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "sam3trt/version.hpp"
#include "segmenter/shared_model.hpp"
#include "server/call_queue.hpp"
#include "server/feature_cache.hpp"
#include "server/image_decoder.hpp"
#include "server/model_worker.hpp"

namespace sam3trt {
namespace {

/// On a GPU two sessions, so that one's host work hides behind the other's kernels.
size_t sessions_of(const Model& model, const ServiceLimits& limits) {
  if (limits.sessions > 0) return limits.sessions;
  return model.backend() == "tensorrt" ? 2 : 1;
}

ModelInfo describe(const Model& model, std::string name, const ServiceLimits& limits,
                   RunHeader header) {
  const SharedModel& loaded = *model.loaded();
  ModelInfo info;
  info.name = std::move(name);
  info.header = std::move(header);
  info.image_size = loaded.config().image_size;
  info.clicks = loaded.can_interact();
  info.video = loaded.can_track() && loaded.config().tracker.has_value();
  info.max_boxes = model.max_boxes();
  info.batch = model.max_images();
  info.version = SAM3TRT_VERSION;
  info.limits = limits;
  return info;
}

void check_count(const std::string& field, size_t count, size_t most) {
  if (count >= 1 && count <= most) return;
  throw HttpError(422, "bad_field",
                  field + ": expected 1 to " + std::to_string(most) + " of them, found " +
                      std::to_string(count),
                  field);
}

}  // namespace

class Service::Impl {
 public:
  Impl(std::vector<Model> loaded, std::string name, const ServiceLimits& limits, RunHeader header)
      : models(std::move(loaded)),
        info(describe(models.front(), std::move(name), limits, std::move(header))),
        decoder(info.limits, limits.pixel_bytes + limits.cache_bytes),
        cache(limits.cache_bytes),
        queue(info.limits, info.batch, cache) {
    for (size_t device = 0; device < models.size(); ++device) {
      for (size_t i = 0; i < sessions_of(models[device], limits); ++i) {
        workers.push_back(
            std::make_unique<ModelWorker>(models[device], device, queue, cache, counts));
      }
    }
    warming = workers.size();
    for (const auto& worker : workers) {
      threads.emplace_back([this, &worker = *worker] {
        if (info.limits.warm_up) worker.warm_up();
        --warming;
        worker.run();
      });
    }
  }
  ~Impl() {
    queue.stop();
    for (std::thread& thread : threads) thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ServedImage decode(std::string_view file_bytes, const std::string& where) {
    const size_t limit = info.limits.max_file_bytes;
    if (file_bytes.size() > limit) {
      throw HttpError(413, "image_too_large",
                      where + ": the file is larger than " + std::to_string(limit >> 20U) + " MiB",
                      where);
    }
    const CallQueue::Announcement coming(queue);
    std::string digest = sha256_hex(std::as_bytes(std::span(file_bytes)));
    if (auto kept = cache.find(digest)) return kept->served;
    const auto begin = std::chrono::steady_clock::now();
    ServedImage served{decoder.decode(file_bytes, where), std::move(digest), 0};
    served.decode_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return served;
  }

  /// The results, or the first error.
  std::vector<ImageResult> run(std::span<Call> calls, const HttpRequest& request) {
    queue.run(calls, request.gone);
    std::vector<ImageResult> results;
    for (Call& call : calls) {
      if (call.error) std::rethrow_exception(call.error);
      results.push_back(std::move(call.result));
    }
    return results;
  }

  std::vector<Model> models;
  ModelInfo info;
  ImageDecoder decoder;
  FeatureCache cache;
  CallQueue queue;
  WorkCounts counts;
  std::vector<std::unique_ptr<ModelWorker>> workers;
  std::vector<std::thread> threads;
  std::atomic<size_t> warming = 0;
  std::atomic<size_t> videos = 0;
  std::atomic<size_t> next_device = 0;
};

Service::Service(std::vector<Model> models, std::string name, const ServiceLimits& limits,
                 RunHeader header)
    : impl_(std::make_unique<Impl>(std::move(models), std::move(name), limits, std::move(header))) {
}
Service::~Service() = default;

ServedImage Service::decode(std::string_view file_bytes, const std::string& where) {
  return impl_->decode(file_bytes, where);
}

ServedImage Service::image_of(const std::string& digest, const std::string& where) {
  if (auto kept = impl_->cache.find(digest)) {
    kept->served.decode_ms = 0;
    return kept->served;
  }
  throw HttpError(404, "unknown_features",
                  where + ": these features are not kept (any more); send the image again", where);
}

std::vector<ImageResult> Service::detect(std::span<const ServedImage> images,
                                         std::span<const Prompt> prompts,
                                         const DetectOptions& options, const HttpRequest& request) {
  check_count("prompts", prompts.size(), impl_->info.limits.max_prompts);
  std::vector<Call> calls(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    calls[i].kind = Call::Kind::kDetect;
    calls[i].image = images[i];
    calls[i].prompts = prompts;
    calls[i].detect = options;
  }
  return impl_->run(calls, request);
}

ImageResult Service::detect(const ServedImage& image, std::span<const Prompt> prompts,
                            const DetectOptions& options, const HttpRequest& request) {
  return std::move(detect(std::span(&image, 1), prompts, options, request).front());
}

ImageResult Service::interact(const ServedImage& image, std::span<const ObjectPrompt> objects,
                              const InteractOptions& options, const HttpRequest& request) {
  check_count("objects", objects.size(), impl_->info.limits.max_prompts);
  Call call;
  call.kind = Call::Kind::kInteract;
  call.image = image;
  call.objects = objects;
  call.interact = options;
  return std::move(impl_->run({&call, 1}, request).front());
}

void Service::encode(const ServedImage& image, const HttpRequest& request) {
  Call call;
  call.kind = Call::Kind::kEncode;
  call.image = image;
  static_cast<void>(impl_->run({&call, 1}, request));
}

Service::VideoPlace::~VideoPlace() { --service_->impl_->videos; }

std::unique_ptr<Service::VideoPlace> Service::take_video_place() {
  Impl& impl = *impl_;
  if (!impl.info.video) {
    throw HttpError(422, "not_available", "the model of this server does not track videos");
  }
  if (impl.queue.is_stopped()) throw HttpError(503, "stopping", "the server stops", {}, 1);
  if (impl.videos.fetch_add(1) >= impl.info.limits.videos) {
    --impl.videos;
    throw HttpError(503, "queue_full", "as many videos as may be are tracked already", {}, 10);
  }
  const size_t device = impl.next_device++ % impl.models.size();
  return std::make_unique<VideoPlace>(*this, impl.models[device]);
}

ServiceStats Service::stats() const {
  ServiceStats stats;
  stats.waiting = impl_->queue.waiting();
  stats.videos = impl_->videos;
  stats.cache_bytes = impl_->cache.bytes();
  stats.cache_images = impl_->cache.images();
  const std::scoped_lock lock(impl_->counts.mutex);
  stats.cache_hits = impl_->counts.hits;
  stats.cache_misses = impl_->counts.misses;
  stats.batches = impl_->counts.batches;
  return stats;
}

const ModelInfo& Service::info() const { return impl_->info; }
bool Service::ready() const { return impl_->warming == 0 && !impl_->queue.is_stopped(); }
bool Service::is_stopping() const { return impl_->queue.is_stopped(); }
void Service::stop() { impl_->queue.stop(); }

}  // namespace sam3trt
