#include "gpu/gpu_texts.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "runtime/prompt_batch.hpp"

namespace sam3trt {

GpuTexts::GpuTexts(const CudaDevice& device, GpuStage stage, const Tokenizer& tokenizer,
                   const ModelConfig& config, Semantics semantics, size_t capacity)
    : stage_(std::move(stage)),
      type_(stage_->type_of("text_features").value_or(DType::kF32)),
      tokenizer_(tokenizer),
      config_(config),
      semantics_(semantics),
      capacity_(capacity),
      row_bytes_(static_cast<size_t>(config.context_length * config.detector_width) *
                 size_of(type_)),
      pool_(device, capacity * row_bytes_),
      batch_(device) {}

DevicePointer GpuTexts::features(const Stream& stream, Uploader& uploader,
                                 DeviceBuffer& activations, std::span<const Prompt> prompts,
                                 size_t max_prompts) {
  encode_missing(stream, uploader, activations, prompts);
  batch_.grow(stream, max_prompts * row_bytes_);
  for (size_t row = 0; row < prompts.size(); ++row) {
    const Text& text = texts_.find(effective_text(prompts[row]))->second;
    copy_on_device(stream, batch_.data() + row * row_bytes_, pool_.data() + text.slot * row_bytes_,
                   row_bytes_);
  }
  return batch_.data();
}

std::vector<std::vector<float>> GpuTexts::masks(std::span<const Prompt> prompts) const {
  std::vector<std::vector<float>> masks;
  for (const Prompt& prompt : prompts) {
    masks.push_back(texts_.find(effective_text(prompt))->second.mask);
  }
  return masks;
}

void GpuTexts::encode_missing(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                              std::span<const Prompt> prompts) {
  std::vector<std::string> fresh = missing(prompts);
  if (fresh.empty()) return;
  if (texts_.size() + fresh.size() > capacity_) {
    texts_.clear();
    new_.clear();
    fresh = missing(prompts);
  }
  const auto rows = static_cast<size_t>(stage_->largest("input_ids", 0));
  for (size_t first = 0; first < fresh.size(); first += rows) {
    encode(stream, uploader, activations,
           std::span(fresh).subspan(first, std::min(rows, fresh.size() - first)));
  }
}

std::vector<std::string> GpuTexts::missing(std::span<const Prompt> prompts) const {
  std::vector<std::string> texts;
  for (const Prompt& prompt : prompts) {
    const std::string text(effective_text(prompt));
    if (texts_.contains(text) || std::ranges::find(texts, text) != texts.end()) continue;
    texts.push_back(text);
  }
  return texts;
}

void GpuTexts::check(std::span<const Prompt> prompts) const {
  if (stage_) return;
  const std::vector<std::string> fresh = missing(prompts);
  if (fresh.empty()) return;
  throw_bad_input("the text '" + fresh.front() +
                  "' is not among those that were kept when the text encoder was freed");
}

void GpuTexts::forget_new() {
  for (const std::string& text : new_) texts_.erase(text);
  new_.clear();
}

bool GpuTexts::keep_only(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                         std::span<const Prompt> prompts) {
  if (texts_.size() + missing(prompts).size() > capacity_) return false;
  encode_missing(stream, uploader, activations, prompts);
  uploader.wait(stream);
  stage_.reset();
  return true;
}

void GpuTexts::encode(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                      std::span<const std::string> texts) {
  const auto context = static_cast<size_t>(config_.context_length);
  Tensor ids(DType::kI64, {static_cast<int64_t>(texts.size()), config_.context_length});
  std::vector<std::vector<float>> masks;
  for (size_t row = 0; row < texts.size(); ++row) {
    EncodedText encoded = encode_text(texts[row], tokenizer_, config_, semantics_);
    std::ranges::copy(encoded.ids, ids.i64().subspan(row * context).begin());
    masks.push_back(std::move(encoded.mask));
  }
  stage_->set_input("input_ids", ids.shape(), uploader.upload(stream, "input_ids", ids));
  stage_->run(stream, activations);
  const size_t first = texts_.size();
  copy_on_device(stream, pool_.data() + first * row_bytes_, stage_->output("text_features"),
                 texts.size() * row_bytes_);
  for (size_t row = 0; row < texts.size(); ++row) {
    new_.push_back(texts[row]);
    texts_[texts[row]] = {first + row, std::move(masks[row])};
  }
}

}  // namespace sam3trt
