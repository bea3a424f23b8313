#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// An object and where it is pointed at.
struct PlacedObject {
  ObjectPrompt prompt;
  std::optional<std::string> image{};  ///< As written; none where there is one image.
  std::optional<int64_t> frame{};
};

/// A concept and where its example boxes are.
struct PlacedConcept {
  Prompt prompt;
  std::optional<std::string> image{};
  std::optional<int64_t> frame{};
};

/// What `--prompts FILE.json` asks for; at least one of them.
struct PromptFile {
  std::vector<PlacedObject> objects;
  std::vector<PlacedConcept> concepts;
};

/// The largest frame that can be named.
inline constexpr int64_t kMaxPromptFrame = 1'000'000'000;

/// Reads such a file: {"objects": [...], "concepts": [...]}. An object has an "id" (0 to 2^31 - 1;
/// left out: 1), "points" as [x, y] with "point_labels" (1 or 0; left out: all 1), a "box" and a
/// "mask", the path of an image, relative to the file, or COCO run lengths; a concept has a "text",
/// "boxes" and "box_labels" (1 or 0; left out: all 1); both an "image" and a "frame". Throws
/// Error(kBadInput) that begins with the file and names the entry for anything else: other fields,
/// the same id twice on one frame and image, numbers that are not finite, boxes without area, masks
/// that do not fit their size or are empty.
[[nodiscard]] PromptFile read_prompt_file(const std::filesystem::path& path);

/// The same from a text; `where` begins messages, `folder` is what paths of masks are relative to.
/// Without a folder masks that are paths are refused.
[[nodiscard]] PromptFile parse_prompt_file(std::span<const std::byte> text,
                                           const std::string& where,
                                           const std::optional<std::filesystem::path>& folder);

/// "x,y" of the option; throws Error(kBadInput) for anything but two finite numbers.
[[nodiscard]] ObjectPoint parse_point(std::string_view text, const std::string& option,
                                      bool positive);

}  // namespace sam3trt
