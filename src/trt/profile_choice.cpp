#include "trt/profile_choice.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {
namespace {

bool holds(const ProfileShape& profile, const Shape& shape) {
  if (shape.size() != profile.max.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < profile.min[i] || shape[i] > profile.max[i]) return false;
  }
  return true;
}

/// What a profile says about an input; nothing fits into that of an input that it lacks.
ProfileShape shapes_in(const Profile& profile, const std::string& input) {
  const auto found = profile.find(input);
  return found == profile.end() ? ProfileShape{} : found->second;
}

}  // namespace

size_t choose_profile(std::span<const Profile> profiles,
                      const std::map<std::string, Shape>& shapes) {
  for (size_t index = 0; index < profiles.size(); ++index) {
    const bool all = std::ranges::all_of(shapes, [&](const auto& entry) {
      return holds(shapes_in(profiles[index], entry.first), entry.second);
    });
    if (all) return index;
  }
  for (const auto& [input, shape] : shapes) {
    check_shape("the engine", input, shape,
                profiles.empty() ? ProfileShape{} : shapes_in(profiles.back(), input));
  }
  throw Error(ErrorCode::kInternal, "an engine without profiles and inputs was asked to run");
}

ProfileShape envelope_of(std::span<const Profile> profiles, const std::string& input) {
  if (profiles.empty()) return {};
  ProfileShape envelope = shapes_in(profiles.back(), input);
  for (const Profile& profile : profiles) {
    const ProfileShape shapes = shapes_in(profile, input);
    for (size_t i = 0; i < std::min(envelope.max.size(), shapes.max.size()); ++i) {
      envelope.min[i] = std::min(envelope.min[i], shapes.min[i]);
      envelope.max[i] = std::max(envelope.max[i], shapes.max[i]);
    }
  }
  return envelope;
}

void check_shape(const std::string& engine, const std::string& input, const Shape& shape,
                 const ProfileShape& profile) {
  if (holds(profile, shape)) return;
  throw_bad_input(
      engine + ": input " + input + " has the shape " + to_string(shape) +
      ", and the engine was built for " + to_string(profile.min) + " to " + to_string(profile.max) +
      "; build it with a larger --max-batch, --max-prompts, --max-boxes, --max-objects, "
      "--max-points or --max-pointers");
}

}  // namespace sam3trt
