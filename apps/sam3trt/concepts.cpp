#include "concepts.hpp"

#include <optional>

#include "runtime/prompt.hpp"

namespace sam3trt {

std::vector<Prompt> concepts_of(const std::vector<std::string>& texts,
                                const std::vector<std::string>& boxes,
                                const std::vector<std::string>& negative_boxes) {
  std::vector<PromptBox> examples;
  examples.reserve(boxes.size() + negative_boxes.size());
  for (const std::string& text : boxes) examples.push_back({parse_box(text, "--box"), true});
  for (const std::string& text : negative_boxes) {
    examples.push_back({parse_box(text, "--negative-box"), false});
  }
  std::vector<Prompt> prompts;
  prompts.reserve(texts.size() + 1);
  for (const std::string& text : texts) prompts.push_back({text, examples});
  if (prompts.empty() && !examples.empty()) prompts.push_back({std::nullopt, examples});
  return prompts;
}

}  // namespace sam3trt
