// Any bytes as a saved session, behind a digest that is right.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "tracking/state_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sam3trt::StateOwner owner{"0123abcd", "hf", {32, 4, 2, 2, 4}};
  const auto given = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(given.begin(), given.end());
  const std::string digest = sam3trt::sha256_hex(bytes);
  std::ranges::transform(digest, std::back_inserter(bytes),
                         [](char c) { return static_cast<std::byte>(c); });
  try {
    const sam3trt::SavedState saved = sam3trt::read_state(bytes, owner, "state");
    // What was taken is a state that can be saved and read back.
    const std::vector<std::byte> again = sam3trt::write_state(saved, owner);
    static_cast<void>(sam3trt::read_state(again, owner, "state"));
  } catch (const sam3trt::Error& error) {
    if (error.code() != sam3trt::ErrorCode::kBadInput) std::abort();
  }
  return 0;
}
