#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace sam3trt {

/// The id of the token that the tokenizer of a folder pads with, from `tokenizer_config.json` and,
/// where that names the token only, `tokenizer.json`. Nothing when the folder does not say, or when
/// the token is the end mark. Throws Error(kBadInput) for a file that is not what it should be.
[[nodiscard]] std::optional<int64_t> find_pad_token(const std::filesystem::path& folder);

}  // namespace sam3trt
