#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "components/components.hpp"
#include "goldens.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

class TrackerParity : public testing::TestWithParam<std::string> {};

/// Component by component on the CPU, each on what the reference's own components gave or on what
/// the ones before gave here.
TEST_P(TrackerParity, EveryComponentGivesTheReferencesNumbers) {
  const ComponentGoldens goldens(GetParam());
  const SessionEngines engines = load_on_cpu(export_model({Semantics::kHf, GetParam()}));
  std::map<std::string, Tensor> given;
  std::map<std::string, Difference> worst;
  std::set<Component> seen;
  for (const ComponentCase& entry : goldens.cases()) {
    std::map<std::string, Tensor> inputs;
    for (const auto& [name, key] : entry.inputs) {
      inputs[name == "pixel_u8" ? "pixel_values" : name] =
          given.contains(key) ? given.at(key) : goldens.input(key);
    }
    if (entry.component == Component::kMemoryAttention) {
      // The reference has one object in each call, and all that it is given is there.
      for (const std::string name : {"memory", "pointer"}) {
        Tensor present(DType::kF32, inputs.at(name + "_time").shape());
        std::ranges::fill(present.f32(), 1.0F);
        inputs[name + "_present"] = std::move(present);
      }
    }
    TensorMap named;
    for (const auto& [name, tensor] : inputs) named[name] = &tensor;
    auto found = engines.at(entry.component).run(named);
    seen.insert(entry.component);
    for (const auto& [name, key] : entry.outputs) {
      const Difference difference = goldens.compare(key, found.at(name));
      const double limit = thresholds().at("stages").at(name).at("largest_error");
      EXPECT_GT(difference.cosine, thresholds().at("cosine")) << key;
      EXPECT_LT(difference.largest_error, limit) << key;
      Difference& most = worst.try_emplace(name, Difference{1.0, 0.0}).first->second;
      most.cosine = std::min(most.cosine, difference.cosine);
      most.largest_error = std::max(most.largest_error, difference.largest_error);
      given.insert_or_assign(key, std::move(found.at(name)));
    }
  }
  for (const ComponentInfo& info : components()) {
    EXPECT_EQ(seen.contains(info.id), serves(info.id, Task::kTrack)) << info.name;
  }
  for (const auto& [name, difference] : worst) {
    std::cout << GetParam() << ' ' << name << ": 1 - cosine " << 1 - difference.cosine
              << ", largest error " << difference.largest_error << '\n';
  }
}

INSTANTIATE_TEST_SUITE_P(Video, TrackerParity, testing::Values("video_a", "video_b", "video_c"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sam3trt::parity
