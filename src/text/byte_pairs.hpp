#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sam3trt {

/// The printable symbol of a byte in byte-level vocabularies, as UTF-8: 33..126, 161..172 and
/// 174..255 stand for themselves, the n-th of the others is U+0100 + n (GPT-2's table).
[[nodiscard]] std::string byte_symbol(uint8_t byte);

/// The bytes of a text of such symbols; other characters stay as they are.
[[nodiscard]] std::string symbol_bytes(std::string_view symbols);

/// One rule: the neighbours `left` and `right` become `result`. All are token ids.
struct Merge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

/// Applies merge rules to words, the earliest rule first and from left to right, in O(n log n).
class BytePairs {
 public:
  /// Ids of a byte inside a word and at its end.
  struct Symbols {
    std::array<int32_t, 256> inner{};
    std::array<int32_t, 256> last{};
  };

  BytePairs(const Symbols& symbols, std::span<const Merge> merges);

  /// Appends the ids of one word (UTF-8 bytes).
  void encode(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  struct Rule {
    int32_t rank = 0;
    int32_t result = 0;
  };
  [[nodiscard]] const Rule* find(int32_t left, int32_t right) const;

  Symbols symbols_;
  std::unordered_map<uint64_t, Rule> rules_;
};

}  // namespace sam3trt
