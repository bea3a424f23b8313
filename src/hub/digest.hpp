#pragma once

#include <filesystem>
#include <string>

namespace sam3trt {

/// How the hub names the content of a file.
enum class DigestKind {
  kNone,     ///< Not at all; only the size can be checked.
  kSha256,   ///< SHA-256 of the bytes: files in large-file storage.
  kGitBlob,  ///< SHA-1 of "blob SIZE\0" and the bytes: files in the git repository.
};

/// A digest in lower-case hexadecimal digits.
struct Digest {
  DigestKind kind = DigestKind::kNone;
  std::string hex;

  friend bool operator==(const Digest&, const Digest&) = default;
};

/// Reads an ETag header: quotes and the mark of a weak tag are dropped; 64 digits are a SHA-256,
/// 40 a git blob, anything else is kNone.
[[nodiscard]] Digest digest_from_etag(const std::string& etag);

/// Digest of a file's content; empty for kNone. Throws Error(kBadInput) when it cannot be read.
[[nodiscard]] Digest digest_of_file(const std::filesystem::path& path, DigestKind kind);

/// "sha256", "git-sha1" or "none", and back (kNone for anything else).
[[nodiscard]] std::string name_of(DigestKind kind);
[[nodiscard]] DigestKind digest_kind_of(const std::string& name);

}  // namespace sam3trt
