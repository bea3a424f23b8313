// A request to a route of the server, with a small model behind it: the first byte chooses the
// route, the second the kind of body. Whatever is asked, the answer is JSON, and never that the
// server failed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "../unit/server/served_model.hpp"
#include "server/kserve.hpp"
#include "server/label_studio.hpp"
#include "server/own_routes.hpp"
#include "server/roboflow.hpp"

namespace {

using sam3trt::HttpPart;
using sam3trt::HttpRequest;

constexpr std::array kPaths = {
    "/v1/infer",        "/v1/features", "/v1/objects",           "/v2/models/sam3/infer",
    "/predict",         "/setup",       "/sam3/concept_segment", "/sam3/visual_segment",
    "/sam3/embed_image"};
constexpr std::array kParts = {"image", "text", "box", "negative_box", "threshold", "request", "x"};

sam3trt::ServiceLimits limits() {
  sam3trt::ServiceLimits limits;
  limits.max_pixels = 1 << 16;  // large images only cost time here
  limits.cache_bytes = 1 << 20;
  limits.max_prompts = 4;
  limits.max_images = 2;
  return limits;
}

/// One for all inputs; never destroyed.
sam3trt::ServedModel& served() {
  static auto* model = [] {
    auto* made = new sam3trt::ServedModel(limits());
    add_own_routes(made->routes(), made->service(), made->images());
    add_kserve_routes(made->routes(), made->service(), made->images());
    add_roboflow_routes(made->routes(), made->service(), made->images());
    add_label_studio_routes(made->routes(), made->service(), task_images(made->images()));
    return made;
  }();
  return *model;
}

/// Parts are a byte for the name, with its highest bit for a file, two for the length, and bytes.
void add_parts(std::span<const uint8_t> bytes, HttpRequest& request) {
  while (bytes.size() >= 3) {
    HttpPart part;
    part.name = kParts.at((bytes[0] & 0x7FU) % kParts.size());
    if (bytes[0] >= 0x80) part.filename = "a.png";
    const size_t length = bytes[1] | static_cast<size_t>(bytes[2]) << 8U;
    bytes = bytes.subspan(3);
    const size_t taken = std::min(length, bytes.size());
    part.body.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    bytes = bytes.subspan(taken);
    request.parts.push_back(std::move(part));
  }
}

HttpRequest request_of(std::span<const uint8_t> bytes) {
  HttpRequest request;
  request.method = "POST";
  request.path = kPaths.at(bytes[0] % kPaths.size());
  const int kind = bytes[1] % 4;
  bytes = bytes.subspan(2);
  if (kind == 0) {
    request.headers.emplace("Content-Type", "application/json");
    request.body.assign(bytes.begin(), bytes.end());
  } else if (kind == 1) {
    request.headers.emplace("Content-Type", "image/png");
    request.body.assign(bytes.begin(), bytes.end());
  } else if (kind == 2) {
    request.headers.emplace("Content-Type", "multipart/form-data; boundary=b");
    add_parts(bytes, request);
  } else if (bytes.size() >= 2) {
    const size_t length = bytes[0] | static_cast<size_t>(bytes[1]) << 8U;
    request.headers.emplace("Inference-Header-Content-Length", std::to_string(length));
    request.body.assign(bytes.begin() + 2, bytes.end());
  }
  return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  HttpRequest request = request_of({data, size});
  const sam3trt::HttpResponse response = served().routes().handle(request);
  if (response.status == 500) std::abort();
  if (response.content_type != "application/json") return 0;
  const auto json = nlohmann::json::parse(response.body);
  if ((response.status != 200) != json.contains("error")) std::abort();
  return 0;
}
