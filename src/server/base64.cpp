#include "server/base64.hpp"

#include <array>
#include <cstdint>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr int8_t kInvalid = -1;
constexpr int8_t kSpace = -2;

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  values.fill(kInvalid);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  for (const char space : {' ', '\t', '\r', '\n'}) values[static_cast<uint8_t>(space)] = kSpace;
  return values;
}

constexpr std::array<int8_t, 256> kValues = make_values();

}  // namespace

std::string decode_base64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;  // of sextets in `bits`
  size_t i = 0;
  for (; i < text.size() && text[i] != '='; ++i) {
    const int8_t value = kValues[static_cast<uint8_t>(text[i])];
    if (value == kSpace) continue;
    if (value == kInvalid) throw_bad_input("is not base64");
    bits = bits << 6U | static_cast<uint32_t>(value);
    if (++count < 4) continue;
    bytes.push_back(static_cast<char>(bits >> 16U));
    bytes.push_back(static_cast<char>(bits >> 8U));
    bytes.push_back(static_cast<char>(bits));
    bits = 0;
    count = 0;
  }
  int padding = 0;
  for (; i < text.size(); ++i) {
    if (kValues[static_cast<uint8_t>(text[i])] == kSpace) continue;
    if (text[i] != '=' || ++padding > 2) throw_bad_input("is not base64");
  }
  if (count == 1 || (padding > 0 && count + padding != 4)) throw_bad_input("is not base64");
  if (count == 2) bytes.push_back(static_cast<char>(bits >> 4U));
  if (count == 3) {
    bytes.push_back(static_cast<char>(bits >> 10U));
    bytes.push_back(static_cast<char>(bits >> 2U));
  }
  return bytes;
}

}  // namespace sam3trt
