#include "segmenter/segmenter.hpp"

namespace sam3trt {

Segmenter::Segmenter(const std::filesystem::path& folder, const LoadOptions& options)
    : model_(folder, options), session_(model_) {}
Segmenter::Segmenter(const ModelFiles& files, const LoadOptions& options)
    : model_(files, options), session_(model_) {}

std::vector<ImageResult> Segmenter::run(std::span<const ImageRequest> requests,
                                        const Thresholds& thresholds) {
  return session_.run(requests, {thresholds});
}

ImageResult Segmenter::run(const Image& image, std::span<const Prompt> prompts,
                           const Thresholds& thresholds) {
  const ImageRequest request{view_of(image), prompts};
  return std::move(session_.run(std::span(&request, 1), {thresholds}).front());
}

bool Segmenter::keep_only_texts(std::span<const Prompt> prompts) {
  if (!session_.keep_only_texts(prompts)) return false;
  model_.free_text_encoder();  // nobody else uses the model
  return true;
}

size_t Segmenter::max_images() const { return model_.max_images(); }
const std::string& Segmenter::backend() const { return model_.backend(); }
Semantics Segmenter::semantics() const { return model_.semantics(); }
bool Segmenter::verified() const { return model_.verified(); }
uint64_t Segmenter::device_memory() const { return model_.device_memory(); }

}  // namespace sam3trt
