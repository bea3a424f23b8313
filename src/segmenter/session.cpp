#include "sam3trt/session.hpp"

#include "base/error.hpp"
#include "runtime/pipeline.hpp"
#include "segmenter/shared_model.hpp"

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

class Session::Impl {
 public:
  explicit Impl(Model shared)
      : model(std::move(shared)),
        pipeline(model.loaded()->make_backend(), model.loaded()->tokenizer(),
                 model.loaded()->config(), model.loaded()->semantics()) {}

  Model model;
  Pipeline pipeline;
};

Session::Session(Model model) : impl_(std::make_unique<Impl>(std::move(model))) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

std::vector<ImageResult> Session::run(std::span<const ImageRequest> requests,
                                      const DetectOptions& options) {
  return impl_->pipeline.run(requests, options);
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
  if (features.impl_ == nullptr) throw_bad_input("the features were moved away or released");
  if (features.impl_->model != impl_->model.loaded()) {
    throw_bad_input("the features are those of another model; encode the images with this one");
  }
  return impl_->pipeline.detect(features.impl_->encoded, prompts, options);
}

bool Session::keep_only_texts(std::span<const Prompt> prompts) {
  return impl_->pipeline.keep_only_texts(prompts);
}

const Model& Session::model() const { return impl_->model; }

}  // namespace sam3trt
