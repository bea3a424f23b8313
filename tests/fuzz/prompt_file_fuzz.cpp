// Any bytes as a file of prompts: an error, or prompts that keep what their types promise.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.hpp"
#include "image/rle.hpp"
#include "prompts/prompt_file.hpp"

namespace {

void check(const sam3trt::ObjectPrompt& prompt) {
  if (prompt.points.empty() && !prompt.box && !prompt.mask) std::abort();
  for (const auto& point : prompt.points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) std::abort();
  }
  if (!prompt.mask) return;
  uint64_t pixels = 0;
  for (const uint32_t run : prompt.mask->counts) pixels += run;
  if (pixels != static_cast<uint64_t>(prompt.mask->width * prompt.mask->height)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file =
        sam3trt::parse_prompt_file(std::as_bytes(std::span(data, size)), "fuzz", std::nullopt);
    if (file.objects.empty() && file.concepts.empty()) std::abort();
    for (const auto& object : file.objects) check(object.prompt);
    for (const auto& placed : file.concepts) {
      if (!placed.prompt.text && placed.prompt.boxes.empty()) std::abort();
      if (placed.frame && (*placed.frame < 0 || *placed.frame > sam3trt::kMaxPromptFrame)) {
        std::abort();
      }
    }
  } catch (const sam3trt::Error&) {
    // Refused, as most inputs are.
  }
  return 0;
}
