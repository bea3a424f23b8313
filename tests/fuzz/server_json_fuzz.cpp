// Any bytes as the JSON of a request: an error for its client, or prompts that keep what their
// types promise.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "server/fields.hpp"
#include "server/http.hpp"
#include "server/label_regions.hpp"

namespace {

constexpr size_t kMostPrompts = 16;
constexpr int64_t kWidth = 40;
constexpr int64_t kHeight = 23;

template <typename Read>
void check(const Read& read) {
  try {
    read();
  } catch (const sam3trt::HttpError& error) {
    if (error.status() < 400 || error.status() >= 500) std::abort();
  }
}

void check_prompts(const nlohmann::json& json) {
  const auto prompts = sam3trt::read_prompts(json, kMostPrompts);
  if (prompts.empty() || prompts.size() > kMostPrompts) std::abort();
  for (const auto& prompt : prompts) {
    if (!prompt.text && prompt.boxes.empty()) std::abort();
    for (const auto& [box, positive] : prompt.boxes) {
      for (const double side : box) {
        if (!std::isfinite(side)) std::abort();
      }
      if (!(box[0] < box[2] && box[1] < box[3])) std::abort();
    }
  }
}

void check_context(const nlohmann::json& json) {
  const auto context = sam3trt::read_context(json, kWidth, kHeight);
  for (const auto& point : context.points) {
    if (!(point.x >= 0 && point.x < kWidth && point.y >= 0 && point.y < kHeight)) std::abort();
  }
  for (const auto& box : context.boxes) {
    if (!(box[0] >= 0 && box[2] <= kWidth && box[1] >= 0 && box[3] <= kHeight)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check([&] {
    const auto json = sam3trt::parse_request_json({reinterpret_cast<const char*>(data), size});
    check([&] { check_prompts(json); });
    check([&] { check_context(json); });
    check([&] {
      const sam3trt::Fields fields(json, "", {"a", "b"});
      if (const auto text = fields.text("a"); text && text->empty()) std::abort();
      if (const auto share = fields.number("b", 0, 1); share && !(*share >= 0 && *share <= 1)) {
        std::abort();
      }
    });
    check([&] {
      const sam3trt::Fields fields(json, "", {"a", "b"});
      if (const auto count = fields.integer("a", -5, 5); count && (*count < -5 || *count > 5)) {
        std::abort();
      }
      if (const auto* list = fields.list("b", 4); list != nullptr && list->size() > 4) std::abort();
    });
  });
  return 0;
}
