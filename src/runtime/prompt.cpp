#include "runtime/prompt.hpp"

#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/model_files.hpp"
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

std::string describe(const PixelBox& box) {
  std::string text;
  for (const double value : box) {
    std::array<char, 32> number{};  // the shortest that reads back as the same value
    const char* begin = number.data();
    const char* end = std::to_chars(number.data(), number.data() + number.size(), value).ptr;
    text += (text.empty() ? "" : ",") + std::string(begin, end);
  }
  return text;
}

void check_box(const PixelBox& box, const std::string& name) {
  for (const double value : box) {
    if (!std::isfinite(value)) {
      throw_bad_input(name + ": expected finite numbers x0,y0,x1,y1 in pixels");
    }
  }
  if (box[0] < box[2] && box[1] < box[3]) return;
  throw_bad_input(name + ": expected x0 < x1 and y0 < y1 (upper left corner, then lower right)");
}

/// Warns of a box that can hardly be meant in pixels.
void warn_of_shares(const PixelBox& box, const std::string& name) {
  const bool is_in_first_pixel = box[0] >= 0 && box[1] >= 0 && box[2] <= 1 && box[3] <= 1;
  if (!is_in_first_pixel && box[2] - box[0] >= 1 && box[3] - box[1] >= 1) return;
  log(LogLevel::kWarning, name + ": " +
                              (is_in_first_pixel ? "lies in the first pixel of the image"
                                                 : "is smaller than a pixel of the image") +
                              "; boxes are x0,y0,x1,y1 in pixels, not in parts of its size");
}

}  // namespace

PixelBox parse_box(std::string_view text, const std::string& option) {
  const std::string name = option + " " + std::string(text);
  const auto refuse = [&]() {
    throw_bad_input(name + ": expected four numbers x0,y0,x1,y1 in pixels");
  };
  PixelBox box = {};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (size_t i = 0; i < box.size(); ++i) {
    if (i > 0) {
      if (at == end || *at != ',') refuse();
      ++at;
    }
    const auto [next, error] = std::from_chars(at, end, box[i]);
    if (error != std::errc()) refuse();
    at = next;
  }
  if (at != end) refuse();
  check_box(box, name);
  warn_of_shares(box, name);
  return box;
}

std::string_view effective_text(const Prompt& prompt) {
  return prompt.text ? std::string_view(*prompt.text) : std::string_view("visual");
}

void check_prompt(const Prompt& prompt, const Tokenizer& tokenizer, const ModelConfig& config,
                  Semantics semantics) {
  for (const PromptBox& entry : prompt.boxes) check_box(entry.box, "box " + describe(entry.box));
  if (!prompt.text && prompt.boxes.empty()) {
    throw_bad_input("the prompt is empty: give a text (--text) or a box (--box)");
  }
  if (!prompt.text) return;
  const auto context = static_cast<size_t>(config.context_length);
  const EncodedText encoded =
      tokenizer.encode(*prompt.text, context, config.pad_token_id, semantics);
  if (encoded.tokens > 2) return;
  throw_bad_input("the text " + in_quotes(*prompt.text) +
                  " is empty: name what to look for (--text), or leave the text out and give a box "
                  "(--box)");
}

void check_boxes(const Prompt& prompt, int64_t width, int64_t height) {
  const auto w = static_cast<double>(width);
  const auto h = static_cast<double>(height);
  for (const PromptBox& entry : prompt.boxes) {
    const auto& [x0, y0, x1, y1] = entry.box;
    const std::string image = std::to_string(width) + "x" + std::to_string(height);
    if (x1 <= 0 || y1 <= 0 || x0 >= w || y0 >= h) {
      throw_bad_input("box " + describe(entry.box) + " lies outside the image of " + image +
                      " pixels; boxes are x0,y0,x1,y1 in pixels of the image");
    }
    if (x0 < -w || y0 < -h || x1 > 2 * w || y1 > 2 * h) {
      throw_bad_input("box " + describe(entry.box) + " is far larger than the image of " + image +
                      " pixels; boxes are x0,y0,x1,y1 in pixels of the image");
    }
  }
}

std::array<float, 4> normalised_box(const PixelBox& box, int64_t width, int64_t height) {
  const auto w = static_cast<float>(width);
  const auto h = static_cast<float>(height);
  const float x0 = static_cast<float>(box[0]) / w;
  const float y0 = static_cast<float>(box[1]) / h;
  const float x1 = static_cast<float>(box[2]) / w;
  const float y1 = static_cast<float>(box[3]) / h;
  return {(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0};
}

}  // namespace sam3trt
