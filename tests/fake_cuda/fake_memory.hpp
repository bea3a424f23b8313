#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>

namespace sam3trt::fake {

/// Ends the program: work touches memory as no GPU would forgive. A status could be overlooked.
[[noreturn]] void fault(const char* user, const char* what, uint64_t address, size_t bytes);

/// Memory of one kind that the driver gave out. Fresh memory holds anything; what was freed is
/// filled with NaN and kept for a while, so that a use of it is seen.
class FakeMemory {
 public:
  [[nodiscard]] void* allocate(size_t bytes);

  /// False when no live block begins there.
  [[nodiscard]] bool release(uint64_t address);

  [[nodiscard]] bool is_live(uint64_t address) const;

  /// Ends the program unless a live block holds all of these bytes.
  void require(uint64_t address, size_t bytes, const char* user) const;

  /// Ends the program when the address lies in a block that was freed.
  void refuse_freed(uint64_t address, const char* user) const;

 private:
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    size_t size = 0;
  };

  static const Block* holder(const std::map<uint64_t, Block>& blocks, uint64_t address);

  std::map<uint64_t, Block> live_;
  std::map<uint64_t, Block> freed_;
  std::deque<uint64_t> order_;  ///< Of freeing.
  size_t freed_bytes_ = 0;
};

/// The GPU's.
FakeMemory& device_memory();

/// Page-locked memory of the host.
FakeMemory& pinned_memory();

}  // namespace sam3trt::fake
