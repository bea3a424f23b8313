#include "gpu/gpu_texts.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

std::vector<std::string> texts_of(const PreparedCall& call) {
  std::vector<std::string> texts;
  for (const auto& [text, prepared] : call.texts) texts.push_back(text);
  return texts;
}

}  // namespace

GpuTexts::GpuTexts(const GpuModel& model, size_t capacity)
    : model_(model),
      capacity_(capacity),
      row_bytes_(
          static_cast<size_t>(model.config().context_length * model.config().detector_width) *
          size_of(
              type_of(model.plan(Component::kDetector), "text_features").value_or(DType::kF32))),
      pool_(model.device(), capacity * row_bytes_),
      batch_(model.device()) {
  if (const auto plan = model.text_encoder()) {
    stage_.emplace(std::string(name_of(Component::kTextEncoder)), *plan, model.device());
  }
}

DevicePointer GpuTexts::features(const Stream& stream, Uploader& uploader,
                                 DeviceBuffer& activations, const PromptBatch& batch,
                                 const PreparedCall& call) {
  Texts texts;
  for (const PromptRow& row : batch.rows) texts.push_back(row.text);
  encode_missing(stream, uploader, activations, texts, call);
  batch_.grow(stream, model_.limits().prompts * row_bytes_);
  for (size_t row = 0; row < texts.size(); ++row) {
    copy_on_device(stream, batch_.data() + row * row_bytes_,
                   pool_.data() + slots_.at(texts[row]) * row_bytes_, row_bytes_);
  }
  return batch_.data();
}

void GpuTexts::encode_missing(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                              const Texts& texts, const PreparedCall& call) {
  Texts fresh = missing(texts);
  if (slots_.size() + fresh.size() > capacity_) {
    slots_.clear();
    new_.clear();
    fresh = missing(texts);
  }
  for (size_t first = 0; first < fresh.size(); first += model_.max_texts()) {
    const size_t count = std::min(model_.max_texts(), fresh.size() - first);
    encode(stream, uploader, activations, std::span(fresh).subspan(first, count), call);
  }
}

GpuTexts::Texts GpuTexts::missing(const Texts& texts) const {
  Texts fresh;
  for (const std::string& text : texts) {
    if (slots_.contains(text) || std::ranges::find(fresh, text) != fresh.end()) continue;
    fresh.push_back(text);
  }
  return fresh;
}

void GpuTexts::check(const PreparedCall& call) const {
  if (stage_) return;
  const Texts fresh = missing(texts_of(call));
  if (fresh.empty()) return;
  throw_bad_input("the text " + in_quotes(fresh.front()) +
                  " is not among those that were kept when the text encoder was freed");
}

void GpuTexts::forget_new() {
  for (const std::string& text : new_) slots_.erase(text);
  new_.clear();
}

bool GpuTexts::keep_only(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                         const PreparedCall& call) {
  check(call);
  const Texts texts = texts_of(call);
  if (slots_.size() + missing(texts).size() > capacity_) return false;
  encode_missing(stream, uploader, activations, texts, call);
  uploader.wait(stream);
  stage_.reset();
  return true;
}

void GpuTexts::encode(const Stream& stream, Uploader& uploader, DeviceBuffer& activations,
                      std::span<const std::string> texts, const PreparedCall& call) {
  Tensor ids(DType::kI64, {static_cast<int64_t>(texts.size()), model_.config().context_length});
  auto target = ids.i64().begin();
  for (const std::string& text : texts) {
    target = std::ranges::copy(call.texts.find(text)->second.ids, target).out;
  }
  stage_->set_input("input_ids", ids.shape(), uploader.upload(stream, "input_ids", ids));
  stage_->run(stream, activations);
  const size_t first = slots_.size();
  copy_on_device(stream, pool_.data() + first * row_bytes_, stage_->output("text_features"),
                 texts.size() * row_bytes_);
  for (size_t row = 0; row < texts.size(); ++row) {
    new_.push_back(texts[row]);
    slots_[texts[row]] = first + row;
  }
}

}  // namespace sam3trt
