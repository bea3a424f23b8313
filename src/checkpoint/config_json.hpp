#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "checkpoint/config.hpp"

namespace sam3trt {

/// Reads a `config.json` of model type "sam3" or "sam3_video" (its detector). A field that is not
/// there takes the default of Hugging Face's configuration classes (transformers 5.23,
/// models/sam3/configuration_sam3.py and models/clip/configuration_clip.py). The preprocessing
/// keeps the defaults of PreprocessConfig and pad_token_id is the end mark, as CLIP's tokenizer
/// pads; the text model's own `pad_token_id` is not what the tokenizer uses. `where` starts every
/// message. Throws Error(kBadInput) that lists every field that is wrong or cannot be expressed.
/// With `tracker` the tracker of "sam3_video" is read, too (configuration_sam3_tracker_video.py and
/// configuration_sam3_video.py, transformers 5.24); "sam3" has none.
[[nodiscard]] Sam3Config parse_config_json(const nlohmann::json& json, const std::string& where,
                                           bool tracker = false);

/// Reads `preprocessor_config.json`, or `processor_config.json` with its "image_processor"
/// (transformers 5.23, models/sam3/image_processing_sam3.py). Throws Error(kBadInput) that lists
/// every step that this project does not reproduce: another size than the model's `image_size`
/// (0: any), another filter than bilinear, no resizing, crops, padding, steps it does not know.
[[nodiscard]] PreprocessConfig parse_preprocess_json(const nlohmann::json& json,
                                                     const std::string& where,
                                                     int64_t image_size = 0);

/// Throws Error(kBadInput) that lists the problems of a file's fields, the first ten of them.
[[noreturn]] void refuse_fields(const std::string& where, const std::vector<std::string>& problems);

/// The problems of a configuration that is complete: values out of range, and combinations that no
/// graph of this project expresses. Each names the field as config.json does.
[[nodiscard]] std::vector<std::string> config_problems(const Sam3Config& config);

/// Those of the tracker.
[[nodiscard]] std::vector<std::string> tracker_problems(const Sam3Config& config);

}  // namespace sam3trt
