#include "fake_memory.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace sam3trt::fake {
namespace {

constexpr int kFresh = 0xCD;
constexpr int kFreed = 0xFF;                           // NaN in every floating-point type
constexpr size_t kKeptFreedBytes = size_t{64} << 20U;  // of blocks that were freed last

}  // namespace

void fault(const char* user, const char* what, uint64_t address, size_t bytes) {
  std::fprintf(stderr, "fake CUDA: %s uses %s: %zu bytes at %#llx\n", user, what, bytes,
               static_cast<unsigned long long>(address));
  std::abort();
}

void* FakeMemory::allocate(size_t bytes) {
  Block block{std::make_unique<std::byte[]>(std::max<size_t>(bytes, 1)), bytes};
  std::memset(block.bytes.get(), kFresh, bytes);
  std::byte* memory = block.bytes.get();
  live_.emplace(reinterpret_cast<uint64_t>(memory), std::move(block));
  return memory;
}

bool FakeMemory::release(uint64_t address) {
  auto node = live_.extract(address);
  if (node.empty()) return false;
  std::memset(node.mapped().bytes.get(), kFreed, node.mapped().size);
  freed_bytes_ += node.mapped().size;
  freed_.insert(std::move(node));
  order_.push_back(address);
  while (freed_bytes_ > kKeptFreedBytes) {
    const auto oldest = freed_.extract(order_.front());
    order_.pop_front();
    freed_bytes_ -= oldest.mapped().size;
  }
  return true;
}

bool FakeMemory::is_live(uint64_t address) const { return holder(live_, address) != nullptr; }

void FakeMemory::require(uint64_t address, size_t bytes, const char* user) const {
  refuse_freed(address, user);
  const Block* block = holder(live_, address);
  const char* wrong = "memory that the driver did not give out";
  if (block == nullptr) fault(user, wrong, address, bytes);
  const size_t offset = address - reinterpret_cast<uint64_t>(block->bytes.get());
  if (bytes > block->size - offset) fault(user, "memory beyond its end", address, bytes);
}

void FakeMemory::refuse_freed(uint64_t address, const char* user) const {
  if (holder(freed_, address) != nullptr) fault(user, "memory that was freed", address, 0);
}

const FakeMemory::Block* FakeMemory::holder(const std::map<uint64_t, Block>& blocks,
                                            uint64_t address) {
  const auto after = blocks.upper_bound(address);
  if (after == blocks.begin()) return nullptr;
  const auto& [begin, block] = *std::prev(after);
  return address - begin < block.size ? &block : nullptr;
}

FakeMemory& device_memory() {
  static FakeMemory memory;
  return memory;
}

FakeMemory& pinned_memory() {
  static FakeMemory memory;
  return memory;
}

}  // namespace sam3trt::fake
