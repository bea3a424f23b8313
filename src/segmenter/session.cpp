#include "sam3trt/session.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <optional>

#include "base/error.hpp"
#include "runtime/pipeline.hpp"
#include "runtime/request.hpp"
#include "runtime/result.hpp"
#include "runtime/stage.hpp"
#include "segmenter/shared_model.hpp"
#include "tracking/everything.hpp"
#include "tracking/image_objects.hpp"

namespace sam3trt {

class Features::Impl {
 public:
  std::shared_ptr<const SharedModel> model;  ///< Outlives what lies on its device.
  EncodedImages encoded;
};

Features::Features(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Features::~Features() = default;
Features::Features(Features&&) noexcept = default;
Features& Features::operator=(Features&&) noexcept = default;
size_t Features::images() const { return impl_->encoded.sizes.size(); }
size_t Features::size_bytes() const { return impl_->encoded.store->size_bytes(); }

namespace {

/// What run() gives for images that the vision encoder makes no finite numbers of.
std::vector<ImageResult> failed(std::span<const ImageRequest> requests, const Error& error) {
  std::vector<ImageResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    results[i].width = requests[i].image.width;
    results[i].height = requests[i].image.height;
    set_error(results[i], error);
  }
  return results;
}

}  // namespace

class Session::Impl {
 public:
  explicit Impl(Model shared)
      : model(std::move(shared)),
        pipeline(model.loaded()->make_backend(), model.loaded()->tokenizer(),
                 model.loaded()->config(), model.loaded()->semantics()) {}

  /// Throws Error(kBadInput) for a model that detects only.
  void require_interaction() {
    if (objects) return;
    if (!model.loaded()->can_interact()) {
      throw_bad_input(
          "the model only detects: it has no components for clicks, boxes and masks of objects; "
          "export the whole checkpoint with 'sam3trt export --component all'");
    }
    objects.emplace(model.loaded()->config(), model.semantics());
  }

  /// Throws Error(kBadInput) for features of another model.
  const EncodedImages& encoded_in(const Features& features) const;

  /// Adds what is pointed at to the results of the images.
  void add_objects(const EncodedImages& features,
                   std::span<const std::span<const ObjectPrompt>> asked,
                   const InteractOptions& options,
                   std::span<const std::optional<EverythingOptions>> everything,
                   std::span<ImageResult> results);

  void run_part(std::span<const ImageRequest> requests, const DetectOptions& options,
                std::vector<ImageResult>& results);

  Model model;
  Pipeline pipeline;
  std::optional<ImageObjects> objects;
};

const EncodedImages& Session::Impl::encoded_in(const Features& features) const {
  if (features.impl_ == nullptr) throw_bad_input("the features were moved away or released");
  if (features.impl_->model != model.loaded()) {
    throw_bad_input("the features are those of another model; encode the images with this one");
  }
  return features.impl_->encoded;
}

void Session::Impl::add_objects(const EncodedImages& features,
                                std::span<const std::span<const ObjectPrompt>> asked,
                                const InteractOptions& options,
                                std::span<const std::optional<EverythingOptions>> everything,
                                std::span<ImageResult> results) {
  const auto share = static_cast<double>(results.size());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<ImagePointers> images;
  for (size_t i = 0; i < asked.size(); ++i) images.push_back({features.sizes[i], asked[i]});
  std::vector<std::vector<ObjectResult>> found;
  try {
    static_cast<void>(pipeline.with_features(features, [&](Backend& backend) {
      found = objects->run(backend, *features.store, images, options);
      for (size_t i = 0; i < everything.size(); ++i) {
        if (!everything[i]) continue;
        auto all = objects->everything(backend, *features.store, images, i, *everything[i]);
        std::ranges::move(all, std::back_inserter(found[i]));
      }
    }));
  } catch (const NonFiniteError& error) {
    objects.emplace(model.loaded()->config(), model.semantics());
    for (ImageResult& result : results) {
      set_error(result, error);
      result.prompts.clear();
    }
    return;
  } catch (...) {
    objects.emplace(model.loaded()->config(), model.semantics());
    throw;
  }
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].error) continue;
    results[i].objects = std::move(found[i]);
    results[i].timings_ms.detector += taken.count() / share;
  }
}

/// Images that go through the vision encoder together.
void Session::Impl::run_part(std::span<const ImageRequest> requests, const DetectOptions& options,
                             std::vector<ImageResult>& results) {
  std::vector<ImageView> images;
  std::vector<std::span<const Prompt>> prompts;
  std::vector<std::span<const ObjectPrompt>> asked;
  std::vector<std::optional<EverythingOptions>> everything;
  for (const ImageRequest& request : requests) {
    everything.push_back(request.everything);
    images.push_back(request.image);
    prompts.push_back(request.prompts);
    asked.push_back(request.objects);
  }
  EncodedImages features;
  try {
    features = pipeline.encode(images);
  } catch (const NonFiniteError& error) {
    std::ranges::move(failed(requests, error), std::back_inserter(results));
    return;
  }
  std::vector<ImageResult> found = pipeline.detect(features, prompts, options);
  add_objects(features, asked, {.multimask = requests.front().multimask}, everything, found);
  const auto share = static_cast<double>(found.size());
  for (ImageResult& result : found) {
    result.timings_ms.preprocess += features.timings.preprocess / share;
    result.timings_ms.vision_encoder += features.timings.vision_encoder / share;
    results.push_back(std::move(result));
  }
}

Session::Session(Model model) : impl_(std::make_unique<Impl>(std::move(model))) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<ImageResult> Session::run(std::span<const ImageRequest> requests,
                                      const DetectOptions& options) {
  const bool objects = std::ranges::any_of(requests, [](const ImageRequest& request) {
    return !request.objects.empty() || request.everything.has_value();
  });
  if (!objects) return impl_->pipeline.run(requests, options);
  impl_->require_interaction();
  for (const ImageRequest& request : requests) {
    check_image(request.image);
    if (request.everything) check_everything(*request.everything);
    check_image_objects({{request.image.width, request.image.height}, request.objects},
                        impl_->objects->mask_side());
  }
  std::vector<ImageResult> results;
  for (size_t first = 0; first < requests.size();) {
    size_t end = first + 1;
    while (end < requests.size() && end - first < impl_->model.max_images() &&
           requests[end].multimask == requests[first].multimask) {
      ++end;
    }
    impl_->run_part(requests.subspan(first, end - first), options, results);
    first = end;
  }
  return results;
}

Features Session::encode(std::span<const ImageView> images) {
  auto features = std::make_unique<Features::Impl>();
  features->model = impl_->model.loaded();
  features->encoded = impl_->pipeline.encode(images);
  return Features(std::move(features));
}

std::vector<ImageResult> Session::detect(const Features& features,
                                         std::span<const std::span<const Prompt>> prompts,
                                         const DetectOptions& options) {
  return impl_->pipeline.detect(impl_->encoded_in(features), prompts, options);
}

std::vector<ImageResult> Session::interact(const Features& features,
                                           std::span<const std::span<const ObjectPrompt>> objects,
                                           const InteractOptions& options) {
  const EncodedImages& encoded = impl_->encoded_in(features);
  impl_->require_interaction();
  if (objects.size() != encoded.sizes.size()) {
    throw_bad_input("the features are those of " + std::to_string(encoded.sizes.size()) +
                    " images, and there are " + std::to_string(objects.size()) +
                    " lists of objects; expected one for each image");
  }
  std::vector<ImageResult> results(objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    check_image_objects({encoded.sizes[i], objects[i]}, impl_->objects->mask_side());
    results[i].width = encoded.sizes[i][0];
    results[i].height = encoded.sizes[i][1];
  }
  impl_->add_objects(encoded, objects, options, {}, results);
  return results;
}

bool Session::keep_only_texts(std::span<const Prompt> prompts) {
  return impl_->pipeline.keep_only_texts(prompts);
}

const Model& Session::model() const { return impl_->model; }

}  // namespace sam3trt
