#include "server/kserve.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "server/kserve_model.hpp"
#include "server/kserve_tensors.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr const char* kVersion = "1";

Json json_of(const std::span<const KserveDescription> all) {
  Json list = Json::array();
  for (const KserveDescription& one : all) {
    list.push_back({{"name", one.name}, {"datatype", one.datatype}, {"shape", one.shape}});
  }
  return list;
}

HttpResponse answer(const Json& json) {
  HttpResponse response;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

/// What was asked for, in the order of the request.
std::vector<KserveTensor> asked_of(std::vector<KserveTensor> all, const KserveRequest& request) {
  if (!request.outputs) {
    for (KserveTensor& tensor : all) tensor.binary = request.binary_outputs;
    return all;
  }
  std::vector<KserveTensor> asked;
  for (const KserveRequest::Output& output : *request.outputs) {
    asked.push_back(*std::ranges::find(all, output.name, &KserveTensor::name));
    asked.back().binary = output.binary;
  }
  return asked;
}

HttpResponse infer(const HttpRequest& http, Service& service, const RequestImages& images) {
  const KserveRequest request =
      parse_kserve_request(http.body, http.header("Inference-Header-Content-Length"));
  const KserveQuestion question = question_of(request);
  const std::string where = "input \"image\"";
  const ServedImage served = question.image->binary
                                 ? images.of_bytes(question.image->texts[0], where).served
                                 : images.of_base64(question.image->texts[0], where).served;
  const ImageResult result = service.detect(served, question.prompts, question.options, http);
  throw_if_failed(result);
  return kserve_response(kKserveModel, kVersion, request.id, asked_of(tensors_of(result), request));
}

/// Throws unless the path names the model, and its version where it names one.
void check_model(const HttpRequest& request) {
  if (request.captures[0] != kKserveModel) {
    throw HttpError(404, "unknown_model",
                    "there is no model \"" + printable(request.captures[0]) + "\", only \"" +
                        kKserveModel + "\"");
  }
  if (request.captures.size() > 1 && request.captures[1] != kVersion) {
    throw HttpError(404, "unknown_version",
                    "there is no version \"" + printable(request.captures[1]) + "\" of " +
                        kKserveModel + ", only " + kVersion);
  }
}

/// Errors are a text, and what is wrong with a request is 400.
std::string error_text(HttpProblem& problem) {
  if (problem.status == 422) problem.status = 400;
  return Json{{"error", problem.message}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse readiness(const Service& service) {
  HttpResponse response = answer({{"ready", service.ready()}});
  if (!service.ready()) response.status = 503;
  return response;
}

}  // namespace

void add_kserve_routes(Routes& routes, Service& service, const RequestImages& images) {
  const auto add = [&](const std::string& method, const std::string& pattern, Handler handler,
                       Access access = Access::kToken) {
    routes.add(method, pattern, std::move(handler),
               {.access = access, .token = {}, .errors = error_text});
  };
  add("GET", "/v2", [&service](const HttpRequest&) {
    return answer({{"name", "sam3trt"},
                   {"version", service.info().version},
                   {"extensions", {"binary_tensor_data", "model_repository"}}});
  });
  const auto live = [](const HttpRequest&) { return answer({{"live", true}}); };
  add("GET", "/v2/health/live", live, Access::kOpen);
  add(
      "GET", "/v2/health/ready", [&service](const HttpRequest&) { return readiness(service); },
      Access::kOpen);
  add("POST", "/v2/repository/index", [&service](const HttpRequest&) {
    return answer(Json::array({{{"name", kKserveModel},
                                {"version", kVersion},
                                {"state", service.ready() ? "READY" : "LOADING"},
                                {"reason", ""}}}));
  });
  for (const std::string model : {"/v2/models/{name}", "/v2/models/{name}/versions/{version}"}) {
    add("GET", model, [](const HttpRequest& request) {
      check_model(request);
      return answer({{"name", kKserveModel},
                     {"versions", {kVersion}},
                     {"platform", "sam3trt"},
                     {"inputs", json_of(kserve_inputs())},
                     {"outputs", json_of(kserve_outputs())}});
    });
    add("GET", model + "/ready", [&service](const HttpRequest& request) {
      check_model(request);
      return readiness(service);
    });
    add("POST", model + "/infer", [&service, &images](const HttpRequest& request) {
      check_model(request);
      return infer(request, service, images);
    });
  }
}

}  // namespace sam3trt
