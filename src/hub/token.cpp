#include "hub/token.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr const char* kPublicHub = "https://huggingface.co";
constexpr size_t kLongestToken = 4096;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Without the blanks and line ends that files and secret stores leave around a value.
std::string stripped(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// The first line that holds something.
std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kLongestToken + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  text = stripped(text);
  return stripped(text.substr(0, text.find_first_of("\r\n")));
}

/// The token goes into a header, so that a line break in it would add headers.
HubToken checked(HubToken token) {
  const bool valid = token.value.size() <= kLongestToken &&
                     std::all_of(token.value.begin(), token.value.end(),
                                 [](char c) { return c > ' ' && c <= '~'; });
  if (!valid) {
    throw_bad_input(token.source +
                    ": not an access token (expected printable characters without spaces)");
  }
  return token;
}

}  // namespace

std::filesystem::path hub_token_path() {
  if (const std::string path = environment("HF_TOKEN_PATH"); !path.empty()) return path;
  if (const std::string home = environment("HF_HOME"); !home.empty()) {
    return std::filesystem::path(home) / "token";
  }
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "huggingface/token";
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".cache/huggingface/token";
  }
  return {};
}

HubToken find_hub_token(const std::string& given) {
  if (const std::string value = stripped(given); !value.empty()) return checked({value, "--token"});
  if (const std::string value = stripped(environment("HF_TOKEN")); !value.empty()) {
    return checked({value, "HF_TOKEN"});
  }
  const std::filesystem::path path = hub_token_path();
  std::error_code ignored;
  if (path.empty() || !std::filesystem::is_regular_file(path, ignored)) return {};
  HubToken token{first_line(path), path.string()};
  return token.value.empty() ? HubToken{} : checked(std::move(token));
}

std::string hub_endpoint() {
  std::string endpoint = stripped(environment("HF_ENDPOINT"));
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint.empty() ? kPublicHub : endpoint;
}

}  // namespace sam3trt
