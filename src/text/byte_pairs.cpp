#include "text/byte_pairs.hpp"

#include <queue>
#include <tuple>

namespace sam3trt {
namespace {

bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint64_t pair_key(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

/// A symbol of the word that is being merged; neighbours are indices, -1 is none.
struct Node {
  int32_t id = 0;
  int32_t previous = -1;
  int32_t next = -1;
  bool gone = false;
};

struct Candidate {
  int32_t rank = 0;
  int32_t position = 0;
  int32_t result = 0;

  /// For a queue that gives the smallest rank first, then the leftmost position.
  bool operator<(const Candidate& other) const {
    return std::tie(rank, position) > std::tie(other.rank, other.position);
  }
};

}  // namespace

std::string byte_symbol(uint8_t byte) {
  int code = byte;
  if (!stands_for_itself(byte)) {
    code = 256;
    for (int other = 0; other < byte; ++other) {
      if (!stands_for_itself(other)) ++code;
    }
  }
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

std::string symbol_bytes(std::string_view symbols) {
  static const std::unordered_map<std::string, char> kBytes = [] {
    std::unordered_map<std::string, char> bytes;
    for (int byte = 0; byte < 256; ++byte) {
      bytes.emplace(byte_symbol(static_cast<uint8_t>(byte)), static_cast<char>(byte));
    }
    return bytes;
  }();
  std::string result;
  for (size_t i = 0; i < symbols.size();) {
    // All symbols are one or two bytes long.
    const bool is_pair = (static_cast<uint8_t>(symbols[i]) & 0xE0) == 0xC0;
    const std::string symbol(symbols.substr(i, is_pair ? 2 : 1));
    const auto found = kBytes.find(symbol);
    result += found == kBytes.end() ? symbol : std::string(1, found->second);
    i += symbol.size();
  }
  return result;
}

BytePairs::BytePairs(const Symbols& symbols, std::span<const Merge> merges) : symbols_(symbols) {
  rules_.reserve(merges.size());
  int32_t rank = 0;
  for (const Merge& merge : merges) {
    rules_[pair_key(merge.left, merge.right)] = {rank++, merge.result};
  }
}

const BytePairs::Rule* BytePairs::find(int32_t left, int32_t right) const {
  const auto found = rules_.find(pair_key(left, right));
  return found == rules_.end() ? nullptr : &found->second;
}

void BytePairs::encode(std::string_view word, std::vector<int64_t>& ids) const {
  if (word.empty()) return;
  const auto count = static_cast<int32_t>(word.size());
  std::vector<Node> nodes(word.size());
  for (int32_t i = 0; i < count; ++i) {
    const auto byte = static_cast<uint8_t>(word[static_cast<size_t>(i)]);
    const bool is_last = i + 1 == count;
    nodes[static_cast<size_t>(i)] = {is_last ? symbols_.last[byte] : symbols_.inner[byte], i - 1,
                                     is_last ? -1 : i + 1, false};
  }
  const auto node = [&nodes](int32_t i) -> Node& { return nodes[static_cast<size_t>(i)]; };

  std::priority_queue<Candidate> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || node(left).next < 0) return;
    const Rule* rule = find(node(left).id, node(node(left).next).id);
    if (rule != nullptr) queue.push({rule->rank, left, rule->result});
  };
  for (int32_t i = 0; i < count; ++i) offer(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Node& left = node(best.position);
    if (left.gone || left.next < 0) continue;
    Node& right = node(left.next);
    // A merge next to it may have changed the pair since it was queued.
    const Rule* rule = find(left.id, right.id);
    if (rule == nullptr || rule->result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.gone = true;
    if (left.next >= 0) node(left.next).previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  for (int32_t i = 0; i >= 0; i = node(i).next) ids.push_back(node(i).id);
}

}  // namespace sam3trt
