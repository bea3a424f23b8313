#include "runtime/prepared_call.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "runtime/prompt_batch.hpp"

namespace sam3trt {
namespace {

class Preparer {
 public:
  Preparer(const CallLimits& limits, const Tokenizer& tokenizer, const ModelConfig& config,
           Semantics semantics)
      : limits_(limits), tokenizer_(tokenizer), config_(config), semantics_(semantics) {}

  void check(const ImagePrompts& image) const {
    for (const Prompt& prompt : image.prompts) {
      check_prompt(prompt, tokenizer_, config_, semantics_);
      check_boxes(prompt, image.size[0], image.size[1]);
      if (prompt.boxes.size() <= limits_.boxes) continue;
      throw_bad_input("a prompt has " + std::to_string(prompt.boxes.size()) +
                      " boxes, and the engines were built for at most " +
                      std::to_string(limits_.boxes) + "; build them with a larger --max-boxes");
    }
  }

  void add_text(const Prompt& prompt) {
    const std::string text(effective_text(prompt));
    if (call_.texts.contains(text)) return;
    EncodedText encoded = encode_text(text, tokenizer_, config_, semantics_);
    std::string warning = describe_cut(text, encoded);
    call_.texts[text] = {std::move(encoded.ids), std::move(encoded.mask), std::move(warning)};
  }

  void add_group(std::span<const ImagePrompts> images, size_t first) {
    ImageGroup& group = call_.groups.emplace_back();
    group.first = first;
    group.count = images.size();
    std::vector<PromptRow> rows;
    std::vector<Prompt> prompts;
    for (size_t image = 0; image < images.size(); ++image) {
      for (size_t prompt = 0; prompt < images[image].prompts.size(); ++prompt) {
        const Prompt& asked = images[image].prompts[prompt];
        add_text(asked);
        rows.push_back({image, prompt, std::string(effective_text(asked)), images[image].size});
        prompts.push_back(asked);
      }
    }
    for (size_t begin = 0; begin < rows.size(); begin += limits_.prompts) {
      const size_t count = std::min(limits_.prompts, rows.size() - begin);
      group.batches.push_back(make_batch(std::span(rows).subspan(begin, count),
                                         std::span(prompts).subspan(begin, count)));
    }
  }

  [[nodiscard]] PreparedCall take() { return std::move(call_); }

 private:
  [[nodiscard]] PromptBatch make_batch(std::span<const PromptRow> rows,
                                       std::span<const Prompt> prompts) const {
    PromptBatch batch;
    batch.rows.assign(rows.begin(), rows.end());
    batch.box_slots = box_slots(prompts);
    batch.needs_geometry = needs_geometry(prompts, semantics_);
    std::vector<std::array<int64_t, 2>> sizes;
    std::vector<std::vector<float>> masks;
    Tensor images(DType::kI64, {static_cast<int64_t>(rows.size())});
    for (size_t row = 0; row < rows.size(); ++row) {
      sizes.push_back(rows[row].size);
      masks.push_back(call_.texts.find(rows[row].text)->second.mask);
      images.i64()[row] = static_cast<int64_t>(rows[row].image);
    }
    batch.inputs.emplace("image_index", std::move(images));
    batch.inputs.emplace("prompt_mask", make_prompt_mask(prompts, masks, semantics_));
    if (!batch.needs_geometry) return batch;
    GeometryInputs geometry = make_geometry_inputs(prompts, sizes, config_);
    batch.inputs.emplace("boxes", std::move(geometry.boxes));
    batch.inputs.emplace("box_labels", std::move(geometry.box_labels));
    batch.inputs.emplace("box_mask", std::move(geometry.box_mask));
    batch.inputs.emplace("pool_y", std::move(geometry.pool_y));
    batch.inputs.emplace("pool_x", std::move(geometry.pool_x));
    return batch;
  }

  const CallLimits& limits_;
  const Tokenizer& tokenizer_;
  const ModelConfig& config_;
  Semantics semantics_;
  PreparedCall call_;
};

}  // namespace

PreparedCall prepare_call(std::span<const ImagePrompts> images, const CallLimits& limits,
                          const Tokenizer& tokenizer, const ModelConfig& config,
                          Semantics semantics) {
  Preparer preparer(limits, tokenizer, config, semantics);
  for (const ImagePrompts& image : images) preparer.check(image);
  for (size_t first = 0; first < images.size(); first += limits.images) {
    preparer.add_group(images.subspan(first, std::min(limits.images, images.size() - first)),
                       first);
  }
  return preparer.take();
}

PreparedCall prepare_texts(std::span<const Prompt> prompts, const Tokenizer& tokenizer,
                           const ModelConfig& config, Semantics semantics) {
  Preparer preparer({}, tokenizer, config, semantics);
  for (const Prompt& prompt : prompts) {
    check_prompt(prompt, tokenizer, config, semantics);
    preparer.add_text(prompt);
  }
  return preparer.take();
}

}  // namespace sam3trt
