// Any text as a labeling configuration of Label Studio: an error for the client, or a tag that
// regions can be written for.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/http.hpp"
#include "server/label_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto tag = sam3trt::parse_label_config(std::string(data, data + size));
    if (tag.labels.empty()) std::abort();
    for (const auto& label : tag.labels) {
      if (label.value.empty() || label.texts.empty()) std::abort();
      for (const std::string& text : label.texts) {
        if (text.empty()) std::abort();
      }
    }
    if (tag.threshold && !(*tag.threshold >= 0 && *tag.threshold <= 1)) std::abort();
  } catch (const sam3trt::HttpError& error) {
    if (error.status() != 422) std::abort();
  }
  return 0;
}
