#include "hub/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace sam3trt {
namespace {

constexpr size_t kSha256Digits = 64;
constexpr size_t kSha1Digits = 40;

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

std::string hexadecimal(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

bool is_hexadecimal(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Digest digest_from_etag(const std::string& etag) {
  std::string text = etag.starts_with("W/") ? etag.substr(2) : etag;
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  if (!is_hexadecimal(text)) return {};
  if (text.size() == kSha256Digits) return {DigestKind::kSha256, text};
  if (text.size() == kSha1Digits) return {DigestKind::kGitBlob, text};
  return {};
}

Digest digest_of_file(const std::filesystem::path& path, DigestKind kind) {
  if (kind == DigestKind::kNone) return {};
  const MappedFile file(path);
  const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context(EVP_MD_CTX_new());
  const EVP_MD* algorithm = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  // The terminating zero byte of the text belongs to git's header.
  const std::string git_header = "blob " + std::to_string(file.bytes().size());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const bool done =
      context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1 &&
      (kind == DigestKind::kSha256 ||
       EVP_DigestUpdate(context.get(), git_header.c_str(), git_header.size() + 1) == 1) &&
      EVP_DigestUpdate(context.get(), file.bytes().data(), file.bytes().size()) == 1 &&
      EVP_DigestFinal_ex(context.get(), digest.data(), &size) == 1;
  if (!done) throw Error(ErrorCode::kInternal, path.string() + ": OpenSSL cannot compute its hash");
  return {kind, hexadecimal(std::span(digest).first(size))};
}

std::string name_of(DigestKind kind) {
  switch (kind) {
    case DigestKind::kNone:
      return "none";
    case DigestKind::kSha256:
      return "sha256";
    case DigestKind::kGitBlob:
      return "git-sha1";
  }
  return "none";
}

DigestKind digest_kind_of(const std::string& name) {
  if (name == "sha256") return DigestKind::kSha256;
  if (name == "git-sha1") return DigestKind::kGitBlob;
  return DigestKind::kNone;
}

}  // namespace sam3trt
