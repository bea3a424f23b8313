#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace sam3trt {

/// What stands in place of a file that a person meant to have, told from its first bytes.
enum class ForeignContent {
  kNone,           ///< Nothing that is known here.
  kEmpty,          ///< No bytes.
  kGitLfsPointer,  ///< The few lines that git-lfs leaves where a large file should be.
  kWebPage,        ///< HTML, such as a sign-in page.
  kErrorAnswer,    ///< A server's JSON or XML about an error.
};

/// Looks at the first kilobyte. A JSON object is an error's only when its first key says so.
[[nodiscard]] ForeignContent foreign_content(std::span<const std::byte> bytes);

/// "is a Git LFS pointer ...": what the file is and the way out, to follow "FILE: ". Empty for
/// kNone. `bytes` gives the text of an error answer, made printable.
[[nodiscard]] std::string describe(ForeignContent content, std::span<const std::byte> bytes);

/// Throws Error(kBadInput) "FILE: ..." when the file holds such content; a file that is missing or
/// cannot be read is left to whoever reads it.
void refuse_foreign_file(const std::filesystem::path& path);

}  // namespace sam3trt
