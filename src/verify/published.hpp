#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "precision/recipe.hpp"
#include "runtime/prompt.hpp"

namespace sam3trt {

/// Numbers by name, such as "scores".
using NamedNumbers = std::map<std::string, std::vector<double>, std::less<>>;

/// An image of a table of published results.
struct PublishedImage {
  std::string name;    ///< A plain file name.
  std::string sha256;  ///< Empty where it is not stated.
};

/// One image and prompt with the results that were published for them.
struct PublishedCase {
  std::string name;
  std::string kind;  ///< What is asked and how it is measured: "concept".
  std::string test;  ///< Where the source states the numbers.
  std::string image;
  Prompt prompt;
  double threshold = 0.5;  ///< Of the instances that `expected` speaks of.
  NamedNumbers expected;
};

/// Results of a published checkpoint that its own developers state, so that whoever has the weights
/// can hold this program against them (docs/verification.md). A case of kind "concept" may state
///   scores            sigmoid of the largest logits, falling; presence not multiplied in
///   logits            these logits
///   best_box          x0 y0 x1 y1 of the first of them, as shares of the image
///   best_mask_logits  rows and columns 0 to 2 of its mask, before it is resized
///   instance_score, instance_box   one of the instances above the threshold; the box in pixels
struct PublishedTable {
  std::string source;       ///< Repository, commit and file, for messages and reports.
  std::string checkpoint;   ///< "facebook/sam3"
  int64_t image_size = 0;   ///< Of the checkpoint's configuration; so is num_queries.
  int64_t num_queries = 0;  ///< A model of other sizes is another checkpoint.
  std::string semantics;    ///< "hf" or "meta".
  std::string images_name;  ///< What the images are called, for people who look for them.
  std::string images_url;   ///< Of the folder that holds them.
  std::vector<PublishedImage> images;
  std::map<Precision, std::map<std::string, double>> tolerances;  ///< Absolute, by name.
  std::vector<PublishedCase> cases;

  /// The table inside the program (configs/verify/published.json).
  static PublishedTable builtin();

  /// Throws Error(kBadInput) with everything that is wrong in it.
  static PublishedTable load(const std::filesystem::path& path);
  static PublishedTable parse(std::string_view text, const std::string& where);
};

/// One published number and what was found in its place.
struct PublishedValue {
  std::string which;  ///< "ear: scores 1"
  double expected = 0;
  double found = 0;  ///< Not a number where nothing was found.
  double allowed = 0;

  [[nodiscard]] double difference() const { return found - expected; }
  [[nodiscard]] bool ok() const;
};

/// Number by number; what `found` lacks counts as not found.
[[nodiscard]] std::vector<PublishedValue> compare_published(
    const PublishedCase& published, const NamedNumbers& found,
    const std::map<std::string, double>& tolerances);

/// A table, one line per number.
[[nodiscard]] std::string to_table(const std::vector<PublishedValue>& values);

/// JSON text; numbers that are not finite become null.
[[nodiscard]] std::string to_json(const std::vector<PublishedValue>& values);

}  // namespace sam3trt
