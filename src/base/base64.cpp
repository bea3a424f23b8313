#include "base/base64.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Characters that are decoded at a time: OpenSSL counts in int.
constexpr size_t kPiece = size_t{1} << 20;

bool is_base64(unsigned char c) {
  return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=' || c == ' ' || c == '\t' ||
         c == '\r' || c == '\n';
}

/// What follows "data:image/png;base64,".
std::string_view content_of(std::string_view text, const std::string& where) {
  if (!text.starts_with("data:")) return text;
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos || !text.substr(0, comma).ends_with(";base64")) {
    throw_bad_input(where + ": expected a data: URL whose content is base64");
  }
  return text.substr(comma + 1);
}

}  // namespace

std::string decode_base64(std::string_view text, const std::string& where) {
  const std::string_view content = content_of(text, where);
  const auto wrong = std::ranges::find_if_not(content, is_base64);
  const std::unique_ptr<EVP_ENCODE_CTX, decltype(&EVP_ENCODE_CTX_free)> context(
      EVP_ENCODE_CTX_new(), &EVP_ENCODE_CTX_free);
  if (context == nullptr) throw Error(ErrorCode::kInternal, "OpenSSL has no memory");
  EVP_DecodeInit(context.get());
  std::string bytes(content.size() / 4 * 3 + 64, '\0');
  auto* out = reinterpret_cast<unsigned char*>(bytes.data());
  size_t size = 0;
  bool good = wrong == content.end() &&
              static_cast<size_t>(std::ranges::count_if(
                  content, [](unsigned char c) { return std::isspace(c) == 0; })) %
                      4 ==
                  0;
  for (size_t at = 0; good && at < content.size(); at += kPiece) {
    const std::string_view piece = content.substr(at, kPiece);
    int written = 0;
    good = EVP_DecodeUpdate(context.get(), out + size, &written,
                            reinterpret_cast<const unsigned char*>(piece.data()),
                            static_cast<int>(piece.size())) >= 0;
    size += static_cast<size_t>(written);
  }
  int last = 0;
  good = good && EVP_DecodeFinal(context.get(), out + size, &last) == 1;
  if (!good) {
    throw_bad_input(where + ": is not base64" +
                    (wrong == content.end()
                         ? ", or it is cut off"
                         : " at character " + std::to_string(wrong - content.begin())));
  }
  bytes.resize(size + static_cast<size_t>(last));
  return bytes;
}

}  // namespace sam3trt
