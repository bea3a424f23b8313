#pragma once

#include <cstdint>
#include <span>
#include <string_view>

// What ftfy 6.3.1 (Apache License 2.0) knows about characters, as tables: made by
// tools/reference/text_tables.py from its data.

namespace sam3trt::text_tables {

struct CharRange {
  char32_t first = 0;
  char32_t last = 0;
};

/// Sets of characters are numbered. Set i holds kCharRanges[kCharSetStarts[i]] up to the start of
/// the next one; the first three are classes instead.
inline constexpr uint8_t kAnySet = 0;    ///< All but line feed.
inline constexpr uint8_t kWordSet = 1;   ///< Letters, numbers, "_".
inline constexpr uint8_t kSpaceSet = 2;  ///< White space.
extern const std::span<const CharRange> kCharRanges;
extern const std::span<const uint16_t> kCharSetStarts;

/// Characters (or bytes) one after the other, each from its set.
struct MojibakeRule {
  uint8_t length = 0;
  bool at_start = false;  ///< Only at the start of the text.
  uint8_t sets[7] = {};
};

extern const std::span<const MojibakeRule> kBadNeighbours;  ///< Hardly ever meant.
extern const std::span<const MojibakeRule> kSpacedUtf8;     ///< UTF-8 with 0x20 for 0xA0.
extern const std::span<const MojibakeRule> kLossyUtf8;      ///< UTF-8 with 0x1A or '?' for a byte.

/// Sets: what the first bytes of UTF-8 sequences of 2, 3 and 4 bytes and their further bytes look
/// like in some code page.
extern const uint8_t kFirstOf2;
extern const uint8_t kFirstOf3;
extern const uint8_t kFirstOf4;
extern const uint8_t kContinuation;
extern const uint8_t kStrictContinuation;  ///< Those that hardly stand for themselves.

extern const uint8_t kRemovedControls;  ///< Set of control characters that are dropped.

/// A single-byte encoding; bytes below 0x80 are ASCII. In a sloppy one, 0x1A is U+FFFD.
struct CodePage {
  std::string_view name;
  bool sloppy = false;
  char32_t upper[128] = {};  ///< Of the bytes from 0x80.
};

extern const std::span<const CodePage> kCodePages;  ///< In the order in which they are tried.

struct Replacement {
  char32_t from = 0;
  std::u32string_view to;
};

extern const std::span<const Replacement> kLigatures;  ///< By `from`.
extern const std::span<const Replacement> kWidths;     ///< By `from`.

}  // namespace sam3trt::text_tables
