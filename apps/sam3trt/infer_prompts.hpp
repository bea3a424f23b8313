#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "infer_options.hpp"
#include "jobs/image_list.hpp"
#include "model_runners.hpp"

namespace sam3trt {

/// What each image of a run of `infer` is asked: the options' texts, boxes and clicks for all of
/// them, and what a file of prompts places on single ones.
class InferPrompts {
 public:
  /// Throws Error(kBadInput) for options that ask for nothing or cannot be read.
  explicit InferPrompts(const InferOptions& options);

  /// Reads the file of prompts, if there is one. Throws Error(kBadInput) for one that is not such a
  /// file, or names frames or an image that is not among `images`.
  void place(const InferOptions& options, std::span<const ListedImage> images);

  /// Of the image that is listed under that path.
  [[nodiscard]] const ImageAsk& of(const std::string& path) const;

  /// Every prompt that any image is asked.
  [[nodiscard]] const std::vector<Prompt>& all() const { return all_; }

  /// Whether an image is asked for objects that are pointed at.
  [[nodiscard]] bool has_objects() const { return has_objects_; }

 private:
  void add_file(const InferOptions& options, std::span<const ListedImage> images);
  [[nodiscard]] ImageAsk& ask_at(const std::string& path);

  ImageAsk common_;
  std::map<std::string, ImageAsk> single_;  ///< Images that are asked something else.
  std::vector<Prompt> all_;
  bool has_objects_ = false;
};

}  // namespace sam3trt
