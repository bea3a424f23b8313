#pragma once

#include <map>
#include <span>
#include <string>

#include "trt/api.hpp"

namespace sam3trt {

/// Index of the first profile that holds all shapes. Throws what check_shape throws, for an input
/// that lies outside the last profile, which is the widest.
[[nodiscard]] size_t choose_profile(std::span<const Profile> profiles,
                                    const std::map<std::string, Shape>& shapes);

/// The smallest min and the largest max of an input over all profiles, with the opt of the last.
[[nodiscard]] ProfileShape envelope_of(std::span<const Profile> profiles, const std::string& input);

/// Throws Error(kBadInput) that names `engine`, the input and what it was built for, unless the
/// profile holds the shape.
void check_shape(const std::string& engine, const std::string& input, const Shape& shape,
                 const ProfileShape& profile);

}  // namespace sam3trt
