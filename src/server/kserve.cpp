#include "server/kserve.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "image/rle.hpp"
#include "server/kserve_tensors.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr const char* kModel = "sam3";
constexpr const char* kVersion = "1";

/// A tensor of the model's metadata; -1: any number.
struct Described {
  const char* name;
  const char* datatype;
  std::vector<int64_t> shape;
};

const std::vector<Described>& inputs() {
  static const std::vector<Described> kAll{{"image", "BYTES", {1}},
                                           {"text", "BYTES", {-1}},
                                           {"boxes", "FP32", {-1, 4}},
                                           {"box_labels", "INT32", {-1}},
                                           {"threshold", "FP32", {1}}};
  return kAll;
}

const std::vector<Described>& outputs() {
  static const std::vector<Described> kAll{{"scores", "FP32", {-1}},
                                           {"boxes", "FP32", {-1, 4}},
                                           {"labels", "INT32", {-1}},
                                           {"rle", "BYTES", {-1}}};
  return kAll;
}

const Described* find(const std::vector<Described>& all, const std::string& name) {
  const auto found = std::ranges::find_if(all, [&](const auto& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string names(const std::vector<Described>& all) {
  std::string text;
  for (const Described& one : all) text += (text.empty() ? "" : ", ") + std::string(one.name);
  return text;
}

Json json_of(const std::vector<Described>& all) {
  Json list = Json::array();
  for (const Described& one : all) {
    list.push_back({{"name", one.name}, {"datatype", one.datatype}, {"shape", one.shape}});
  }
  return list;
}

HttpResponse answer(const Json& json) {
  HttpResponse response;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

std::string shape_text(const std::vector<int64_t>& shape) { return Json(shape).dump(); }

/// Throws unless it is an input of the model with a shape that it can have.
void check_input(const KserveTensor& tensor) {
  const Described* known = find(inputs(), tensor.name);
  if (known == nullptr) {
    throw_bad_input("unknown input \"" + printable(tensor.name) + "\"; " + kModel + " has " +
                    names(inputs()));
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

std::vector<Prompt> prompts_of(const KserveRequest& request) {
  const std::vector<PromptBox> examples = examples_of(request);
  std::vector<Prompt> prompts;
  if (const KserveTensor* texts = input_of(request, "text")) {
    for (const std::string& text : texts->texts) prompts.push_back({text, examples});
  }
  if (prompts.empty() && !examples.empty()) prompts.push_back({std::nullopt, examples});
  if (prompts.empty()) throw_bad_input("expected input \"text\" or \"boxes\": what to look for");
  return prompts;
}

std::vector<KserveTensor> tensors_of(const ImageResult& result) {
  std::vector<KserveTensor> tensors;
  for (const Described& one : outputs()) tensors.push_back({one.name, one.datatype, {}});
  int64_t count = 0;
  for (size_t prompt = 0; prompt < result.prompts.size(); ++prompt) {
    for (const Instance& instance : result.prompts[prompt].instances) {
      ++count;
      tensors[0].numbers.push_back(instance.score);
      tensors[1].numbers.insert(tensors[1].numbers.end(), instance.box.begin(), instance.box.end());
      tensors[2].numbers.push_back(static_cast<double>(prompt));
      tensors[3].texts.push_back(
          Json{{"size", {result.height, result.width}}, {"counts", rle_to_string(instance.counts)}}
              .dump());
    }
  }
  for (KserveTensor& tensor : tensors) tensor.shape = {count};
  tensors[1].shape = {count, 4};
  return tensors;
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
  for (const KserveTensor& input : request.inputs) check_input(input);
  for (const auto& output : request.outputs.value_or(std::vector<KserveRequest::Output>{})) {
    if (find(outputs(), output.name) == nullptr) {
      throw_bad_input("unknown output \"" + printable(output.name) + "\"; " + kModel + " has " +
                      names(outputs()));
    }
  }
  const KserveTensor* image = input_of(request, "image");
  if (image == nullptr) throw_bad_input("expected input \"image\"");
  const std::vector<Prompt> prompts = prompts_of(request);
  DetectOptions options;
  if (const KserveTensor* threshold = input_of(request, "threshold")) {
    options.thresholds.score = threshold->numbers[0];
  }
  const std::string where = "input \"image\"";
  const ServedImage served = image->binary ? images.of_bytes(image->texts[0], where).served
                                           : images.of_base64(image->texts[0], where).served;
  const ImageResult result = service.detect(served, prompts, options, http);
  throw_if_failed(result);
  return kserve_response(kModel, kVersion, request.id, asked_of(tensors_of(result), request));
}

/// Throws unless the path names the model, and its version where it names one.
void check_model(const HttpRequest& request) {
  if (request.captures[0] != kModel) {
    throw HttpError(
        404, "unknown_model",
        "there is no model \"" + printable(request.captures[0]) + "\", only \"" + kModel + "\"");
  }
  if (request.captures.size() > 1 && request.captures[1] != kVersion) {
    throw HttpError(404, "unknown_version",
                    "there is no version \"" + printable(request.captures[1]) + "\" of " + kModel +
                        ", only " + kVersion);
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
    return answer(Json::array({{{"name", kModel},
                                {"version", kVersion},
                                {"state", service.ready() ? "READY" : "LOADING"},
                                {"reason", ""}}}));
  });
  for (const std::string model : {"/v2/models/{name}", "/v2/models/{name}/versions/{version}"}) {
    add("GET", model, [](const HttpRequest& request) {
      check_model(request);
      return answer({{"name", kModel},
                     {"versions", {kVersion}},
                     {"platform", "sam3trt"},
                     {"inputs", json_of(inputs())},
                     {"outputs", json_of(outputs())}});
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
