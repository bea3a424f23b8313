#pragma once

#include <filesystem>

#include "image/image.hpp"
#include "sam3trt/object_prompt.hpp"

namespace sam3trt {

/// The mask that an image shows. In one of two colours, of which one is black, the other is inside;
/// in a grey one what is above 127. `name` begins messages. Throws Error(kBadInput) for an image
/// that shows no mask: one without anything inside, in several colours, or in several dark greys.
[[nodiscard]] ObjectMask mask_of_image(const Image& image, const std::string& name);

/// The same of a file. Throws also as read_image does.
[[nodiscard]] ObjectMask read_mask_image(const std::filesystem::path& path);

}  // namespace sam3trt
