#include "hub_access.hpp"

#include "base/error.hpp"
#include "hub/fetch.hpp"
#include "hub/token.hpp"

namespace sam3trt {

std::vector<std::byte> fetch_from_web(const std::string& url) { return fetch_file(url); }

std::optional<Finding> check_hub_token() {
  const std::string fix = "only needed for 'sam3trt download': hf auth login, or set HF_TOKEN (" +
                          hub_endpoint() + "/settings/tokens)";
  try {
    const HubToken token = find_hub_token("");
    if (!token.value.empty()) return Finding{"hub token", true, "from " + token.source, ""};
    return Finding{"hub token", false, "neither HF_TOKEN nor " + hub_token_path().string(), fix};
  } catch (const Error& error) {
    return Finding{"hub token", false, error.what(), fix};
  }
}

}  // namespace sam3trt
