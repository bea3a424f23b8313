#include "server/kserve_model.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

const KserveDescription* find(std::span<const KserveDescription> all, const std::string& name) {
  const auto found = std::ranges::find_if(all, [&](const auto& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string names(std::span<const KserveDescription> all) {
  std::string text;
  for (const KserveDescription& one : all)
    text += (text.empty() ? "" : ", ") + std::string(one.name);
  return text;
}

std::string shape_text(const std::vector<int64_t>& shape) { return Json(shape).dump(); }

/// Throws unless it is an input of the model with a shape that it can have.
void check_input(const KserveTensor& tensor) {
  const KserveDescription* known = find(kserve_inputs(), tensor.name);
  if (known == nullptr) {
    throw_bad_input("unknown input \"" + printable(tensor.name) + "\"; " + kKserveModel + " has " +
                    names(kserve_inputs()));
  }
  if (tensor.datatype != known->datatype) {
    throw_bad_input("input \"" + tensor.name + "\": expected datatype " + known->datatype +
                    ", found " + tensor.datatype);
  }
  bool fits = tensor.shape.size() == known->shape.size();
  for (size_t i = 0; fits && i < tensor.shape.size(); ++i) {
    fits = known->shape[i] < 0 || known->shape[i] == tensor.shape[i];
  }
  if (!fits) {
    throw_bad_input("input \"" + tensor.name + "\": expected shape " + shape_text(known->shape) +
                    ", found " + shape_text(tensor.shape));
  }
}

const KserveTensor* input_of(const KserveRequest& request, const std::string& name) {
  const auto found = std::ranges::find(request.inputs, name, &KserveTensor::name);
  return found == request.inputs.end() ? nullptr : &*found;
}

std::vector<PromptBox> examples_of(const KserveRequest& request) {
  const KserveTensor* boxes = input_of(request, "boxes");
  const KserveTensor* labels = input_of(request, "box_labels");
  const size_t count = boxes == nullptr ? 0 : boxes->numbers.size() / 4;
  if (labels != nullptr && labels->numbers.size() != count) {
    throw_bad_input("input \"box_labels\": expected " + std::to_string(count) +
                    " labels, one for each box, found " + std::to_string(labels->numbers.size()));
  }
  std::vector<PromptBox> examples;
  for (size_t i = 0; i < count; ++i) {
    PromptBox example;
    std::copy_n(boxes->numbers.begin() + static_cast<std::ptrdiff_t>(4 * i), 4,
                example.box.begin());
    if (labels != nullptr) {
      if (labels->numbers[i] != 0 && labels->numbers[i] != 1) {
        throw_bad_input("input \"box_labels\": expected 1 (wanted) or 0 (not wanted)");
      }
      example.positive = labels->numbers[i] == 1;
    }
    examples.push_back(example);
  }
  return examples;
}

void check_outputs(const KserveRequest& request) {
  if (!request.outputs) return;
  for (const KserveRequest::Output& output : *request.outputs) {
    if (find(kserve_outputs(), output.name) == nullptr) {
      throw_bad_input("unknown output \"" + printable(output.name) + "\"; " + kKserveModel +
                      " has " + names(kserve_outputs()));
    }
  }
}

}  // namespace

std::span<const KserveDescription> kserve_inputs() {
  static const std::vector<KserveDescription> kAll{{"image", "BYTES", {1}},
                                                   {"text", "BYTES", {-1}},
                                                   {"boxes", "FP32", {-1, 4}},
                                                   {"box_labels", "INT32", {-1}},
                                                   {"threshold", "FP32", {1}}};
  return kAll;
}

std::span<const KserveDescription> kserve_outputs() {
  static const std::vector<KserveDescription> kAll{{"scores", "FP32", {-1}},
                                                   {"boxes", "FP32", {-1, 4}},
                                                   {"labels", "INT32", {-1}},
                                                   {"rle", "BYTES", {-1}}};
  return kAll;
}

std::vector<Prompt> kserve_prompts(const KserveRequest& request) {
  const std::vector<PromptBox> examples = examples_of(request);
  std::vector<Prompt> prompts;
  if (const KserveTensor* texts = input_of(request, "text")) {
    for (const std::string& text : texts->texts) prompts.push_back({text, examples});
  }
  if (prompts.empty() && !examples.empty()) prompts.push_back({std::nullopt, examples});
  return prompts;
}

std::string kserve_rle(const std::vector<uint32_t>& counts, int64_t width, int64_t height) {
  return Json{{"size", {height, width}}, {"counts", rle_to_string(counts)}}.dump();
}

KserveQuestion question_of(const KserveRequest& request) {
  for (const KserveTensor& input : request.inputs) check_input(input);
  check_outputs(request);
  KserveQuestion question;
  question.image = input_of(request, "image");
  if (question.image == nullptr) throw_bad_input("expected input \"image\"");
  question.prompts = kserve_prompts(request);
  if (question.prompts.empty()) {
    throw_bad_input("expected input \"text\" or \"boxes\": what to look for");
  }
  if (const KserveTensor* threshold = input_of(request, "threshold")) {
    question.options.thresholds.score = threshold->numbers[0];
  }
  return question;
}

std::vector<KserveTensor> tensors_of(const ImageResult& result) {
  std::vector<KserveTensor> tensors;
  for (const KserveDescription& one : kserve_outputs())
    tensors.push_back({one.name, one.datatype, {}});
  int64_t count = 0;
  for (size_t prompt = 0; prompt < result.prompts.size(); ++prompt) {
    for (const Instance& instance : result.prompts[prompt].instances) {
      ++count;
      tensors[0].numbers.push_back(instance.score);
      tensors[1].numbers.insert(tensors[1].numbers.end(), instance.box.begin(), instance.box.end());
      tensors[2].numbers.push_back(static_cast<double>(prompt));
      tensors[3].texts.push_back(kserve_rle(instance.counts, result.width, result.height));
    }
  }
  for (KserveTensor& tensor : tensors) tensor.shape = {count};
  tensors[1].shape = {count, 4};
  return tensors;
}

}  // namespace sam3trt
