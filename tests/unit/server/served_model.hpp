#pragma once

#include <openssl/evp.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "fake_graphs.hpp"
#include "image/image.hpp"
#include "scenes.hpp"
#include "segmenter/shared_model.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"

namespace sam3trt {

inline std::string png_of(const Image& image) {
  const auto bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::string base64_of(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

/// The fake graphs behind a service and its routes.
class ServedModel {
 public:
  /// Ready for requests: the model has run once.
  explicit ServedModel(const ServiceLimits& limits = {})
      : service_({model()}, "fake", limits, {"openvino", Semantics::kHf, {}}) {
    while (!service_.ready()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  [[nodiscard]] Service& service() { return service_; }
  [[nodiscard]] const RequestImages& images() const { return images_; }
  [[nodiscard]] Routes& routes() { return routes_; }

  HttpResponse ask(const std::string& method, const std::string& path, std::string body = {},
                   const std::string& header = {}, const std::string& value = {}) const {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = std::move(body);
    if (!header.empty()) request.headers.emplace(header, value);
    return routes_.handle(request);
  }

  HttpResponse post(const std::string& path, const nlohmann::json& body) const {
    return ask("POST", path, body.dump());
  }

  /// What the service finds in an image's file, for comparison with what a route says.
  ImageResult found(const std::string& file, const std::vector<Prompt>& prompts, double threshold) {
    DetectOptions options;
    options.thresholds.score = threshold;
    return service_.detect(service_.decode(file), prompts, options, {});
  }
  ImageResult pointed(const std::string& file, const std::vector<ObjectPrompt>& objects,
                      bool multimask) {
    return service_.interact(service_.decode(file), objects,
                             {.multimask = multimask, .logits = false}, {});
  }

 private:
  static Model model() {
    return Model(std::make_shared<const SharedModel>(
        std::make_shared<SharedEngines>(FakeGraphs().all_engines()), FakeGraphs::tokenizer(),
        FakeGraphs::config(), Semantics::kHf));
  }

  Service service_;
  RequestImages images_{service_, {}};
  Routes routes_;
};

}  // namespace sam3trt
