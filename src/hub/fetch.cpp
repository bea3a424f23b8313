#include "hub/fetch.hpp"

#include <chrono>
#include <span>
#include <thread>

#include "base/error.hpp"
#include "hub/http.hpp"

namespace sam3trt {

std::vector<std::byte> fetch_file(const std::string& url, const FetchOptions& options) {
  HttpClient client(url, "", options.stall_timeout_s);
  for (int attempt = 1;; ++attempt) {
    try {
      const HubResponse response = client.get(url, options.largest_bytes);
      if (response.status != 200) {
        throw Error(ErrorCode::kInternal,
                    url + ": the server answers " + std::to_string(response.status));
      }
      const auto bytes = std::as_bytes(std::span(response.body));
      return {bytes.begin(), bytes.end()};
    } catch (const ConnectionError&) {
      if (attempt >= options.attempts) throw;
      std::this_thread::sleep_for(std::chrono::milliseconds(250) * attempt);
    }
  }
}

}  // namespace sam3trt
