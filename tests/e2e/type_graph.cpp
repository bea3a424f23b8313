// Types one graph, for the tests: type_graph [--fused] RECIPE INPUT OUTPUT [CALIBRATION.json], or
// writes the calibration graph of a recipe: type_graph --calibrate RECIPE INPUT OUTPUT. RECIPE is a
// name, or BOOK.json:NAME. Without --fused all operators are standard ones. Prints what was done as
// JSON.

#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "precision/precision.hpp"

namespace {

sam3trt::Recipe recipe_of(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return sam3trt::RecipeBook::builtin().find(text);
  return sam3trt::RecipeBook::load(text.substr(0, colon)).find(text.substr(colon + 1));
}

void calibrate(const std::vector<std::string>& arguments) {
  const auto recipe = recipe_of(arguments.at(1));
  auto calibration = sam3trt::write_calibration_graph(arguments.at(2), arguments.at(3), recipe);
  calibration.save(sam3trt::Calibration::path_beside(arguments.at(2)));
}

void type(std::vector<std::string> arguments) {
  const bool fused = arguments.at(0) == "--fused";
  if (fused) arguments.erase(arguments.begin());
  const auto named = recipe_of(arguments.at(0));
  const auto recipe = fused ? named : named.with_standard_operators();
  sam3trt::Calibration calibration;
  if (arguments.size() > 3) calibration = sam3trt::Calibration::load(arguments[3]);
  const auto report = sam3trt::write_typed_graph(arguments.at(1), arguments.at(2), recipe,
                                                 arguments.size() > 3 ? &calibration : nullptr);
  nlohmann::json json = {{"casts", report.casts},
                         {"fp8_products", report.fp8_products},
                         {"narrowed_weights", report.narrowed_weights},
                         {"flushed_weights", report.flushed_weights},
                         {"subnormal_weights", report.subnormal_weights},
                         {"low_attentions", report.low_softmaxes},
                         {"own_operators", report.own_operators},
                         {"own_products", report.own_products},
                         {"unused", report.unused}};
  for (const auto& [dtype, count] : report.nodes) json["nodes"][sam3trt::name_of(dtype)] = count;
  std::puts(json.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 4 && arguments[0] == "--calibrate") {
      calibrate(arguments);
    } else {
      type(arguments);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
