#include <nlohmann/json.hpp>

#include "compile/builder.hpp"

namespace sam3trt {
namespace {

nlohmann::ordered_json describe(const ModelPart& part) {
  const EngineManifest& manifest = part.result.manifest;
  return {
      {"engine", part.request.output.string()},
      {"bytes", manifest.plan_bytes},
      {"precision", manifest.precision},
      {"recipe", manifest.recipe},
      {"attentions", manifest.attentions},
      {"fused_attentions", manifest.fused_attentions
                               ? nlohmann::ordered_json(*manifest.fused_attentions)
                               : nlohmann::ordered_json(nullptr)},
      {"verification", name_of(manifest.verification)},
      {"milliseconds", part.result.milliseconds ? nlohmann::ordered_json(*part.result.milliseconds)
                                                : nlohmann::ordered_json(nullptr)},
      {"refused", part.result.refused},
      {"up_to_date", part.result.up_to_date}};
}

}  // namespace

std::string to_json(const BuildOutcome& outcome) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ModelPart& part : outcome.parts) list.push_back(describe(part));
  return nlohmann::ordered_json{{"engines", list},
                                {"end_to_end", outcome.end_to_end.verdict},
                                {"end_to_end_text", outcome.end_to_end.text},
                                {"end_to_end_up_to_date", outcome.end_to_end.up_to_date}}
      .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace sam3trt
