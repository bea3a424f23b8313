#include "infer_prompts.hpp"

#include <algorithm>
#include <filesystem>

#include "base/error.hpp"
#include "concepts.hpp"
#include "prompts/mask_image.hpp"
#include "prompts/prompt_file.hpp"
#include "runtime/prompt.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// The one object that clicks, a box and a mask on the command line describe together.
std::vector<ObjectPrompt> object_of(const InferOptions& options) {
  ObjectPrompt object;
  for (const std::string& text : options.points) {
    object.points.push_back(parse_point(text, "--point", true));
  }
  for (const std::string& text : options.negative_points) {
    object.points.push_back(parse_point(text, "--negative-point", false));
  }
  if (!options.object_box.empty()) object.box = parse_box(options.object_box, "--object-box");
  if (!options.object_mask.empty()) object.mask = read_mask_image(options.object_mask);
  if (object.points.empty() && !object.box && !object.mask) return {};
  return {object};
}

/// The listed image that `name`, of a file of prompts in `folder`, means: its path as it is listed,
/// or seen from the file's folder, or its file name where only one image has it.
const ListedImage& image_named(const std::string& name, const fs::path& folder,
                               std::span<const ListedImage> images, const std::string& where) {
  const auto by_path = std::ranges::find(images, name, &ListedImage::path);
  if (by_path != images.end()) return *by_path;
  const fs::path beside = (folder / name).lexically_normal();
  const auto normal = [](const ListedImage& image) {
    return fs::path(image.path).lexically_normal();
  };
  const auto by_folder = std::ranges::find(images, beside, normal);
  if (by_folder != images.end()) return *by_folder;
  const auto has_name = [&](const ListedImage& image) {
    return fs::path(image.path).filename() == name;
  };
  const auto count = std::ranges::count_if(images, has_name);
  if (count == 1) return *std::ranges::find_if(images, has_name);
  throw_bad_input(where + ": the image '" + name + "' is " +
                  (count == 0 ? "not among those of --image" : "the name of several images") +
                  "; name it as --image does");
}

}  // namespace

InferPrompts::InferPrompts(const InferOptions& options) {
  common_ = {concepts_of(options.texts, options.boxes, options.negative_boxes), object_of(options),
             options.multimask};
  if (options.everything) common_.everything = options.grid;
  all_ = common_.prompts;
  has_objects_ = !common_.objects.empty() || options.everything;
  if (all_.empty() && !has_objects_ && options.prompts.empty()) {
    throw_bad_input(
        "nothing to look for: give --text or --box; or --point, --prompts or --everything");
  }
}

void InferPrompts::place(const InferOptions& options, std::span<const ListedImage> images) {
  if (!options.prompts.empty()) add_file(options, images);
  if (options.multimask && !has_objects_) {
    throw_bad_input(
        "--multimask: there is no object with several masks; give --point, --object-box, "
        "--object-mask or --prompts with objects");
  }
}

ImageAsk& InferPrompts::ask_at(const std::string& path) {
  return single_.try_emplace(path, common_).first->second;
}

void InferPrompts::add_file(const InferOptions& options, std::span<const ListedImage> images) {
  const std::string where = "--prompts " + options.prompts;
  const fs::path folder = fs::path(options.prompts).parent_path();
  PromptFile file = read_prompt_file(options.prompts);
  const auto check_frame = [&](const std::optional<int64_t>& frame) {
    if (!frame || *frame == 0) return;
    throw_bad_input(where + ": names frame " + std::to_string(*frame) +
                    "; images have none, 'sam3trt track' takes videos");
  };
  // What is for all images comes first, so that single ones begin with it.
  for (PlacedConcept& entry : file.concepts) {
    check_frame(entry.frame);
    all_.push_back(entry.prompt);
    if (!entry.image) common_.prompts.push_back(entry.prompt);
  }
  for (PlacedObject& entry : file.objects) {
    check_frame(entry.frame);
    has_objects_ = true;
    if (entry.image) continue;
    if (images.size() > 1) {
      throw_bad_input(where + ": object " + std::to_string(entry.prompt.id) +
                      " names no image, and there are several; name one of them");
    }
    common_.objects.push_back(entry.prompt);
  }
  for (PlacedConcept& entry : file.concepts) {
    if (!entry.image) continue;
    ask_at(image_named(*entry.image, folder, images, where).path)
        .prompts.push_back(std::move(entry.prompt));
  }
  for (PlacedObject& entry : file.objects) {
    if (!entry.image) continue;
    ask_at(image_named(*entry.image, folder, images, where).path)
        .objects.push_back(std::move(entry.prompt));
  }
}

const ImageAsk& InferPrompts::of(const std::string& path) const {
  const auto found = single_.find(path);
  return found == single_.end() ? common_ : found->second;
}

}  // namespace sam3trt
