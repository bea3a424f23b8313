#include "base/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "base/parallel.hpp"

namespace sam3trt {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  if (state_->context == nullptr ||
      EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) {
    throw Error(ErrorCode::kInternal, "SHA-256 is not available in the system's OpenSSL");
  }
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) {
    throw Error(ErrorCode::kInternal, "SHA-256 update failed");
  }
}

std::string Sha256::hex_digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(state_->context, digest.data(), &length) != 1) {
    throw Error(ErrorCode::kInternal, "SHA-256 final failed");
  }
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += kDigits[digest[i] >> 4U];
    text += kDigits[digest[i] & 15U];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

std::string sha256_of_pieces(std::span<const std::byte> bytes) {
  std::vector<std::string> pieces((bytes.size() + kHashedPiece - 1) / kHashedPiece);
  run_parallel(pieces.size(), 1, [&](size_t i) {
    const std::span<const std::byte> rest = bytes.subspan(i * kHashedPiece);
    pieces[i] = sha256_hex(rest.first(std::min(rest.size(), kHashedPiece)));
  });
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace sam3trt
