#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace sam3trt {

/// Incremental SHA-256 (FIPS 180-4), computed by OpenSSL.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);

  /// Lower-case hexadecimal digest; ends the computation.
  [[nodiscard]] std::string hex_digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Of one piece of bytes.
[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);

/// Of the hexadecimal SHA-256 of each kHashedPiece bytes, one after the other: tells large contents
/// apart as well as sha256_hex does, and several threads compute it.
[[nodiscard]] std::string sha256_of_pieces(std::span<const std::byte> bytes);

inline constexpr size_t kHashedPiece = size_t{1} << 24U;

}  // namespace sam3trt
