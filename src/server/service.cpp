#include "server/service.hpp"

#include <list>
#include <mutex>
#include <unordered_map>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "image/image.hpp"
#include "sam3trt/session.hpp"
#include "sam3trt/version.hpp"
#include "segmenter/shared_model.hpp"

namespace sam3trt {

class Service::Impl {
 public:
  Impl(std::vector<Model> models, std::string name, const ServiceLimits& limits, RunHeader header)
      : models_(std::move(models)), session_(models_.front()) {
    const SharedModel& loaded = *models_.front().loaded();
    info_.name = std::move(name);
    info_.header = std::move(header);
    info_.image_size = loaded.config().image_size;
    info_.clicks = loaded.can_interact();
    info_.video = loaded.can_track() && loaded.config().tracker.has_value() &&
                  loaded.semantics() == Semantics::kHf;
    info_.max_boxes = models_.front().max_boxes();
    info_.batch = models_.front().max_images();
    info_.version = SAM3TRT_VERSION;
    info_.limits = limits;
  }

  std::vector<Model> models_;
  ModelInfo info_;
  std::mutex mutex_;
  Session session_;
  std::unordered_map<std::string, ServedImage> images_;
  bool stopped_ = false;
};

Service::Service(std::vector<Model> models, std::string name, const ServiceLimits& limits,
                 RunHeader header)
    : impl_(std::make_unique<Impl>(std::move(models), std::move(name), limits, std::move(header))) {
}
Service::~Service() = default;

ServedImage Service::decode(std::string_view file_bytes) {
  if (file_bytes.size() > impl_->info_.limits.max_file_bytes) {
    throw HttpError(413, "image_too_large", "the image's file is too large");
  }
  const auto bytes = std::as_bytes(std::span(file_bytes));
  try {
    return {std::make_shared<const Image>(decode_image(bytes, "image")), sha256_hex(bytes)};
  } catch (const Error& error) {
    throw HttpError(415, "not_an_image", error.what(), "image");
  }
}

ServedImage Service::image_of(const std::string& digest) {
  const std::scoped_lock lock(impl_->mutex_);
  const auto found = impl_->images_.find(digest);
  if (found == impl_->images_.end()) {
    throw HttpError(404, "unknown_features", "no features of " + digest + " are kept");
  }
  return found->second;
}

ImageResult Service::detect(const ServedImage& image, std::span<const Prompt> prompts,
                            const DetectOptions& options, const HttpRequest& /*request*/) {
  const std::scoped_lock lock(impl_->mutex_);
  const ImageRequest request{view_of(*image.image), prompts};
  auto results = impl_->session_.run({&request, 1}, options);
  impl_->images_.insert_or_assign(image.digest, image);
  return std::move(results.front());
}

ImageResult Service::interact(const ServedImage& image, std::span<const ObjectPrompt> objects,
                              const InteractOptions& options, const HttpRequest& /*request*/) {
  const std::scoped_lock lock(impl_->mutex_);
  const ImageView view = view_of(*image.image);
  const Features features = impl_->session_.encode({&view, 1});
  auto results = impl_->session_.interact(features, {&objects, 1}, options);
  impl_->images_.insert_or_assign(image.digest, image);
  return std::move(results.front());
}

void Service::encode(const ServedImage& image, const HttpRequest& /*request*/) {
  const std::scoped_lock lock(impl_->mutex_);
  impl_->images_.insert_or_assign(image.digest, image);
}

const ModelInfo& Service::info() const { return impl_->info_; }
bool Service::ready() const { return !impl_->stopped_; }
void Service::stop() { impl_->stopped_ = true; }

}  // namespace sam3trt
