#include "compile/build_settings.hpp"

#include <nlohmann/json.hpp>

namespace sam3trt {

std::string build_settings_of(const TensorRtApi& api, const EngineBuildRequest& request,
                              const std::vector<Profile>& profiles) {
  using Json = nlohmann::ordered_json;
  Json json = {{"precision", name_of(request.precision)},
               {"library", {name_of(api.flavour()), api.version()}},
               {"gpu", {request.gpu, request.gpu_compute_capability, request.compute_capability}},
               {"kernels", request.kernels_sha256},
               {"cublaslt", request.cublaslt_version},
               {"compiler", {request.optimization_level, request.workspace_bytes}}};
  for (const Recipe& recipe : request.recipes.variants(request.precision)) {
    json["recipes"].push_back(recipe.sha256());
  }
  for (const Profile& profile : profiles) {
    Json inputs = Json::object();
    for (const auto& [name, shape] : profile) inputs[name] = {shape.min, shape.opt, shape.max};
    json["profiles"].push_back(std::move(inputs));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sam3trt
