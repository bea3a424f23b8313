#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/result.hpp"
#include "sam3trt/image.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/request.hpp"
#include "sam3trt/result.hpp"
#include "server/http.hpp"

namespace sam3trt {

/// An image that requests are about.
struct ServedImage {
  std::shared_ptr<const Image> image;
  std::string digest;    ///< SHA-256 of the file's bytes, hexadecimal: key of the feature cache.
  double decode_ms = 0;  ///< That decoding took; 0 where it was kept.
};

/// What a service takes and keeps.
struct ServiceLimits {
  size_t queue = 256;                           ///< Calls that wait for the model, at most.
  size_t max_file_bytes = size_t{64} << 20;     ///< Of an image's file.
  int64_t max_pixels = int64_t{64} << 20;       ///< Of a decoded image.
  size_t max_prompts = 64;                      ///< Of one image in one call.
  size_t max_images = 32;                       ///< Of one request.
  size_t cache_bytes = size_t{1} << 30;         ///< Features and decoded images that are kept.
  std::chrono::milliseconds timeout{60'000};    ///< Until a call begins to run.
  std::chrono::microseconds batch_wait{3'000};  ///< For more images, only when others wait.
  size_t pixel_bytes = size_t{2} << 30;         ///< Decoded images of requests, besides the cache.
  size_t videos = 2;                            ///< That are tracked at a time.
  size_t sessions = 0;                          ///< For each device; 0: as many as keep it busy.
  bool warm_up = true;  ///< The model runs once before the service is ready.
};

struct ModelInfo {
  std::string name;  ///< Of the model's folder.
  RunHeader header;  ///< Backend, semantics, engines that are not verified.
  int64_t image_size = 0;
  bool clicks = false;   ///< interact() works.
  bool video = false;    ///< Videos can be tracked.
  size_t max_boxes = 0;  ///< Of one prompt.
  size_t batch = 1;      ///< Images that go through the model together.
  std::string version;   ///< Of the program.
  ServiceLimits limits;
};

/// What happened since the start, and what is there now.
struct ServiceStats {
  size_t waiting = 0;  ///< Calls in the queue.
  size_t videos = 0;   ///< That are tracked now.
  size_t cache_bytes = 0;
  size_t cache_images = 0;
  uint64_t cache_hits = 0;  ///< Calls whose image was encoded already.
  uint64_t cache_misses = 0;
  std::map<size_t, uint64_t> batches;  ///< Runs of the vision encoder by their number of images.
};

/// A model behind routes. All functions may be called from any thread; those that need the model
/// block until it is their turn. Throws HttpError for what a client did or has to wait for: 413 for
/// images that are too large, 415 for what is not an image, 404 "unknown_features", 422 for more
/// prompts than the limits allow, 503 with Retry-After when the queue is full, the call waited too
/// long or the server stops, 499 when the client has left (nobody reads it); and what Session
/// throws.
class Service {
 public:
  /// One model for each device. `name` is that of the model's folder.
  Service(std::vector<Model> models, std::string name, const ServiceLimits& limits,
          RunHeader header);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  /// The image in a file's bytes. One whose digest is kept is not decoded again. `where` names it
  /// in messages, and is their field: its place in the request.
  [[nodiscard]] ServedImage decode(std::string_view file_bytes, const std::string& where = "image");

  /// The image of features that are kept; `where` as above.
  [[nodiscard]] ServedImage image_of(const std::string& digest, const std::string& where = "image");

  /// What the prompts find in each of the images, which go through the model together as far as it
  /// takes them.
  [[nodiscard]] std::vector<ImageResult> detect(std::span<const ServedImage> images,
                                                std::span<const Prompt> prompts,
                                                const DetectOptions& options,
                                                const HttpRequest& request);

  /// What the prompts find. The image's features are kept for later calls.
  [[nodiscard]] ImageResult detect(const ServedImage& image, std::span<const Prompt> prompts,
                                   const DetectOptions& options, const HttpRequest& request);

  /// What is pointed at.
  [[nodiscard]] ImageResult interact(const ServedImage& image,
                                     std::span<const ObjectPrompt> objects,
                                     const InteractOptions& options, const HttpRequest& request);

  /// Makes and keeps the image's features.
  void encode(const ServedImage& image, const HttpRequest& request);

  [[nodiscard]] const ModelInfo& info() const;

  /// False before the model has run once, and when the service stops.
  [[nodiscard]] bool ready() const;

  /// A place among those that track videos, with the model to do it with; given back with the
  /// object. Throws HttpError(503) when all are taken, and for a model that does not track.
  class VideoPlace {
   public:
    VideoPlace(Service& service, Model model) : service_(&service), model_(std::move(model)) {}
    ~VideoPlace();
    VideoPlace(const VideoPlace&) = delete;
    VideoPlace& operator=(const VideoPlace&) = delete;
    [[nodiscard]] const Model& model() const { return model_; }

   private:
    Service* service_;
    Model model_;
  };
  [[nodiscard]] std::unique_ptr<VideoPlace> take_video_place();

  [[nodiscard]] ServiceStats stats() const;

  /// The service has been told to stop.
  [[nodiscard]] bool is_stopping() const;

  /// Calls that run are finished, all others are 503 from now on. Returns at once.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sam3trt
