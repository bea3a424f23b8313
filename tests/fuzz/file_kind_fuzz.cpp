// Arbitrary bytes as a file given as a checkpoint: what it is said to be must be one printable
// sentence.

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "base/foreign_file.hpp"
#include "checkpoint/file_kind.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const char* name : {"model.safetensors", "x.engine"}) {
    const std::string what = sam3trt::describe_other_file(bytes, name);
    if (what.size() > 1000) std::abort();
    if (!std::ranges::all_of(what, [](char c) { return c >= ' ' && c <= '~'; })) std::abort();
  }
  const sam3trt::ForeignContent content = sam3trt::foreign_content(bytes);
  if ((content == sam3trt::ForeignContent::kEmpty) != (size == 0)) std::abort();
  return 0;
}
