// The first two bytes are the length of the JSON (Inference-Header-Content-Length; 0: left out),
// the others a body: an error, or tensors whose data fits their shape, which come back the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "server/kserve_tensors.hpp"

namespace {

size_t elements_of(const sam3trt::KserveTensor& tensor) {
  size_t count = 1;
  for (const int64_t side : tensor.shape) count *= static_cast<size_t>(side);
  return count;
}

void check(const sam3trt::KserveRequest& request) {
  for (const auto& tensor : request.inputs) {
    const bool texts = tensor.datatype == "BYTES";
    if (!(texts ? tensor.numbers.empty() : tensor.texts.empty())) std::abort();
    if ((texts ? tensor.texts.size() : tensor.numbers.size()) != elements_of(tensor)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t length = data[0] | static_cast<size_t>(data[1]) << 8U;
  const std::string header = length == 0 ? std::string() : std::to_string(length);
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  try {
    const auto request = sam3trt::parse_kserve_request(body, header);
    check(request);
    auto answer = request.inputs;
    for (auto& tensor : answer) tensor.binary = true;
    const auto response = sam3trt::kserve_response("sam3", "1", request.id, answer);
    size_t bytes = 0;
    for (const auto& tensor : answer) {
      bytes += 4 * (tensor.numbers.size() + tensor.texts.size());
      for (const std::string& text : tensor.texts) bytes += text.size();
    }
    if (response.body.size() < bytes) std::abort();
  } catch (const sam3trt::Error&) {
    // Refused.
  }
  return 0;
}
