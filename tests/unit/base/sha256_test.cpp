#include "base/sha256.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sam3trt {
namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

// FIPS 180-4's examples.
TEST(Sha256, IsThatOfTheStandard) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, DoesNotDependOnHowTheBytesCome) {
  Sha256 hash;
  for (const char letter : {'a', 'b', 'c'}) hash.update(std::as_bytes(std::span(&letter, 1)));
  EXPECT_EQ(hash.hex_digest(), hash_of("abc"));
}

TEST(Sha256, OfPiecesIsThatOfTheHashesOfAllPieces) {
  std::vector<std::byte> bytes(2 * kHashedPiece + 5);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  const std::span<const std::byte> all(bytes);
  const auto piece = [&](size_t first, size_t size) {
    return sha256_hex(all.subspan(first, size));
  };
  const std::string first = piece(0, kHashedPiece);
  const std::string second = piece(kHashedPiece, kHashedPiece);
  EXPECT_EQ(sha256_of_pieces(all), hash_of(first + second + piece(2 * kHashedPiece, 5)));
  EXPECT_EQ(sha256_of_pieces(all.first(2 * kHashedPiece)), hash_of(first + second));
  EXPECT_EQ(sha256_of_pieces(all.first(7)), hash_of(piece(0, 7)));
  EXPECT_EQ(sha256_of_pieces({}), hash_of(""));
}

TEST(Sha256, OfPiecesChangesWithAnyByte) {
  std::vector<std::byte> bytes(kHashedPiece + 100);
  const std::string before = sha256_of_pieces(bytes);
  for (const size_t i : {size_t{0}, kHashedPiece - 1, kHashedPiece, bytes.size() - 1}) {
    bytes[i] = std::byte{1};
    EXPECT_NE(sha256_of_pieces(bytes), before) << i;
    bytes[i] = std::byte{0};
  }
  EXPECT_EQ(sha256_of_pieces(bytes), before);
}

}  // namespace
}  // namespace sam3trt
