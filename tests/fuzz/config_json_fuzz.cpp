// Arbitrary bytes as config.json and as the preprocessor's JSON; what is accepted must be usable.

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/strict_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nlohmann::json json;
  try {
    json = sam3trt::parse_strict_json({reinterpret_cast<const std::byte*>(data), size}, "input");
  } catch (const sam3trt::Error&) {
    return 0;
  }
  try {
    const sam3trt::Sam3Config config = sam3trt::parse_config_json(json, "input");
    if (!sam3trt::config_problems(config).empty()) std::abort();
    if (config.vision.grid() % config.vision.window != 0) std::abort();
  } catch (const sam3trt::Error&) {
  }
  try {
    static_cast<void>(sam3trt::parse_preprocess_json(json, "input"));
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
