#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/prompt.hpp"
#include "sam3trt/request.hpp"
#include "sam3trt/result.hpp"
#include "server/kserve_tensors.hpp"

namespace sam3trt {

// The model "sam3" of KServe v2, whichever way its tensors come and go (kserve.hpp says what they
// are).

inline constexpr const char* kKserveModel = "sam3";

/// A tensor of the model's metadata; -1: any number.
struct KserveDescription {
  const char* name;
  const char* datatype;
  std::vector<int64_t> shape;
};

[[nodiscard]] std::span<const KserveDescription> kserve_inputs();
[[nodiscard]] std::span<const KserveDescription> kserve_outputs();

/// What a request asks for.
struct KserveQuestion {
  const KserveTensor* image = nullptr;  ///< Of the request: the bytes of a file, or base64.
  std::vector<Prompt> prompts;
  DetectOptions options;
};

/// Throws Error(kBadInput) for inputs and outputs that the model does not have, or not in that
/// shape. The request must outlive what it returns.
[[nodiscard]] KserveQuestion question_of(const KserveRequest& request);

/// What the inputs `text`, `boxes` and `box_labels` name; empty where there are none. Throws
/// Error(kBadInput) for labels that do not fit the boxes.
[[nodiscard]] std::vector<Prompt> kserve_prompts(const KserveRequest& request);

/// A mask's run lengths as an element of `rle`.
[[nodiscard]] std::string kserve_rle(const std::vector<uint32_t>& counts, int64_t width,
                                     int64_t height);

/// All outputs, in the order of kserve_outputs().
[[nodiscard]] std::vector<KserveTensor> tensors_of(const ImageResult& result);

}  // namespace sam3trt
