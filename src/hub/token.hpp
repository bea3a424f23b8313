#pragma once

#include <filesystem>
#include <string>

namespace sam3trt {

/// An access token of the hub and where it was found.
struct HubToken {
  std::string value;   ///< Empty: there is none.
  std::string source;  ///< "--token", "HF_TOKEN" or the path of the token file.
};

/// The token to use: `given` (from the command line) when not empty, else the environment variable
/// HF_TOKEN, else the token file; blanks and line ends around it are dropped, and what is empty
/// then counts as not given. Throws Error(kBadInput) that names the source, never the token, when
/// it has characters that no token has.
[[nodiscard]] HubToken find_hub_token(const std::string& given);

/// Where the token file may be, in the order of huggingface_hub: HF_TOKEN_PATH, else `token` in
/// HF_HOME, else in XDG_CACHE_HOME/huggingface, else in ~/.cache/huggingface. Empty without a home.
[[nodiscard]] std::filesystem::path hub_token_path();

/// The hub's address: HF_ENDPOINT without a slash at its end, or the public hub.
[[nodiscard]] std::string hub_endpoint();

}  // namespace sam3trt
