// The entry points of Triton's backend "sam3trt". Exceptions do not cross them.
#include <triton/core/tritonbackend.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "answerer.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/model_files.hpp"
#include "triton_request.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

/// What `work` throws, as Triton's error.
template <typename Work>
TRITONSERVER_Error* guarded(const Work& work) noexcept {
  try {
    work();
    return nullptr;
  } catch (...) {
    return to_triton_error(std::current_exception());
  }
}

void log_to_triton(LogLevel level, std::string_view message) {
  const auto severity = level == LogLevel::kWarning ? TRITONSERVER_LOG_WARN
                        : level == LogLevel::kInfo  ? TRITONSERVER_LOG_INFO
                                                    : TRITONSERVER_LOG_VERBOSE;
  TRITONSERVER_Error* error =
      TRITONSERVER_LogMessage(severity, "sam3trt", 0, std::string(message).c_str());
  if (error != nullptr) TRITONSERVER_ErrorDelete(error);
}

Json config_of(TRITONBACKEND_Model* model) {
  TRITONSERVER_Message* message = nullptr;
  check_triton(TRITONBACKEND_ModelConfig(model, 1, &message));
  const char* text = nullptr;
  size_t size = 0;
  TRITONSERVER_Error* error = TRITONSERVER_MessageSerializeToJson(message, &text, &size);
  Json config = error == nullptr ? Json::parse(text, text + size) : Json();
  TRITONSERVER_MessageDelete(message);
  check_triton(error);
  return config;
}

std::string parameter_of(const Json& config, const char* name) {
  const auto found = config.find("parameters");
  if (found == config.end() || !found->contains(name)) {
    throw_bad_input(std::string("config.pbtxt: expected the parameter \"") + name + "\"");
  }
  return found->at(name).at("string_value").get<std::string>();
}

Model load(const Json& config, TRITONBACKEND_ModelInstance* instance) {
  TRITONSERVER_InstanceGroupKind kind = TRITONSERVER_INSTANCEGROUPKIND_CPU;
  int32_t device = 0;
  check_triton(TRITONBACKEND_ModelInstanceKind(instance, &kind));
  check_triton(TRITONBACKEND_ModelInstanceDeviceId(instance, &device));
  const bool on_gpu = kind == TRITONSERVER_INSTANCEGROUPKIND_GPU;
  LoadOptions options;
  options.device = on_gpu ? device : 0;
  options.allow_unverified = parameter_of(config, "allow_unverified") == "true";
  return Model(find_model_files(parameter_of(config, "model"),
                                on_gpu ? ModelForm::kEngines : ModelForm::kGraphs,
                                {"config.pbtxt", "keep one model in the folder"}),
               options);
}

std::unique_ptr<Answerer> make_answerer(TRITONBACKEND_ModelInstance* instance) {
  TRITONBACKEND_Model* triton_model = nullptr;
  check_triton(TRITONBACKEND_ModelInstanceModel(instance, &triton_model));
  const Json config = config_of(triton_model);
  const Model model = load(config, instance);
  const auto batching = config.find("sequence_batching");
  if (batching == config.end()) return answer_images(model);
  // Numbers of 64 bits are texts in protobuf's JSON.
  const Json& idle = batching->at("max_sequence_idle_microseconds");
  const double microseconds =
      idle.is_string() ? std::stod(idle.get<std::string>()) : idle.get<double>();
  return answer_sequences(model, microseconds / 1e6);
}

Answerer& answerer_of(TRITONBACKEND_ModelInstance* instance) {
  void* state = nullptr;
  check_triton(TRITONBACKEND_ModelInstanceState(instance, &state));
  return *static_cast<Answerer*>(state);
}

}  // namespace
}  // namespace sam3trt

extern "C" {

// NOLINTBEGIN(readability-identifier-naming): Triton's names

TRITONSERVER_Error* TRITONBACKEND_Initialize(TRITONBACKEND_Backend* /*backend*/) {
  return sam3trt::guarded([] { sam3trt::set_log_sink(sam3trt::log_to_triton); });
}

TRITONSERVER_Error* TRITONBACKEND_Finalize(TRITONBACKEND_Backend* /*backend*/) {
  return sam3trt::guarded([] { sam3trt::set_log_sink({}); });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceInitialize(TRITONBACKEND_ModelInstance* instance) {
  return sam3trt::guarded([&] {
    auto answerer = sam3trt::make_answerer(instance);
    sam3trt::check_triton(TRITONBACKEND_ModelInstanceSetState(instance, answerer.get()));
    static_cast<void>(answerer.release());  // until it is finalized
  });
}

TRITONSERVER_Error* TRITONBACKEND_ModelInstanceFinalize(TRITONBACKEND_ModelInstance* instance) {
  return sam3trt::guarded([&] {
    void* state = nullptr;
    sam3trt::check_triton(TRITONBACKEND_ModelInstanceState(instance, &state));
    const std::unique_ptr<sam3trt::Answerer> answerer(static_cast<sam3trt::Answerer*>(state));
  });
}

/// Takes over all requests, whatever happens to them.
TRITONSERVER_Error* TRITONBACKEND_ModelInstanceExecute(TRITONBACKEND_ModelInstance* instance,
                                                       TRITONBACKEND_Request** requests,
                                                       const uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    const auto request = std::make_shared<sam3trt::TritonRequest>(requests[i], instance);
    try {
      sam3trt::answerer_of(instance).take(request);
    } catch (...) {
      request->fail(std::current_exception());
    }
  }
  return nullptr;
}

// NOLINTEND(readability-identifier-naming)

}  // extern "C"
