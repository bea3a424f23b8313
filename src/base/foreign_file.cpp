#include "base/foreign_file.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kLookedAt = 1024;
constexpr size_t kShownOfAnAnswer = 160;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlanks = " \t\r\n";

// git-lfs, docs/spec.md: the first line of a pointer; the second address was used before 1.0.
constexpr std::array<std::string_view, 2> kPointers = {"version https://git-lfs.github.com/spec/",
                                                       "version https://hawser.github.com/spec/"};

// Keys with which servers start their JSON about an error.
constexpr std::array<std::string_view, 8> kErrorKeys = {
    "error", "errors", "detail", "message", "status", "statuscode", "status_code", "error_code"};

std::string_view beginning(std::span<const std::byte> bytes) {
  const auto first = bytes.first(std::min(bytes.size(), kLookedAt));
  return {reinterpret_cast<const char*>(first.data()), first.size()};
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  return first == std::string_view::npos ? "" : text.substr(first);
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

bool is_web_page(std::string_view text) {
  const std::string start = lower(text);
  if (start.starts_with("<!doctype html") || start.starts_with("<html") ||
      start.starts_with("<head") || start.starts_with("<body")) {
    return true;
  }
  const bool markup = start.starts_with("<!--") || start.starts_with("<?xml") ||
                      start.starts_with("<meta") || start.starts_with("<script");
  return markup && start.find("<html") != std::string::npos;
}

bool is_error_answer(std::string_view text) {
  // Object stores answer in XML: <Error><Code>AccessDenied</Code>.
  if (text.starts_with("<Error>")) return true;
  if (text.starts_with("<?xml")) return text.find("<Error>") != std::string_view::npos;
  if (!text.starts_with('{')) return false;
  text = without_blanks(text.substr(1));
  if (!text.starts_with('"')) return false;
  const size_t end = text.find('"', 1);
  if (end == std::string_view::npos) return false;
  return std::ranges::find(kErrorKeys, lower(text.substr(1, end - 1))) != kErrorKeys.end();
}

}  // namespace

ForeignContent foreign_content(std::span<const std::byte> bytes) {
  if (bytes.empty()) return ForeignContent::kEmpty;
  std::string_view text = beginning(bytes);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text = without_blanks(text);
  for (const std::string_view pointer : kPointers) {
    if (text.starts_with(pointer)) return ForeignContent::kGitLfsPointer;
  }
  if (is_web_page(text)) return ForeignContent::kWebPage;
  return is_error_answer(text) ? ForeignContent::kErrorAnswer : ForeignContent::kNone;
}

std::string describe(ForeignContent content, std::span<const std::byte> bytes) {
  switch (content) {
    case ForeignContent::kNone:
      return "";
    case ForeignContent::kEmpty:
      return "is empty, as after an interrupted download or copy; fetch it again, a whole "
             "checkpoint with 'sam3trt download'";
    case ForeignContent::kGitLfsPointer:
      return "is a Git LFS pointer, not the file itself: the repository was cloned without its "
             "large files; run 'git lfs pull' in it, or fetch the checkpoint with 'sam3trt "
             "download'";
    case ForeignContent::kWebPage:
      return "is a web page (HTML), such as a sign-in page, in place of the file; fetch the file "
             "itself, a whole checkpoint with 'sam3trt download' and an access token";
    case ForeignContent::kErrorAnswer: {
      const std::string_view text = beginning(bytes);
      std::string shown(text.substr(0, kShownOfAnAnswer));
      std::ranges::replace_if(
          shown, [](char c) { return c < ' ' || c > '~'; }, ' ');
      if (bytes.size() > kShownOfAnAnswer) shown += "...";
      return "is a server's answer about an error in place of the file (" + shown +
             "); fetch the file again, a whole checkpoint with 'sam3trt download'";
    }
  }
  return "";
}

void refuse_foreign_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return;
  std::ifstream file(path, std::ios::binary);
  if (!file) return;
  std::vector<char> text(kLookedAt);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad()) return;
  const auto bytes = std::as_bytes(std::span(text));
  const ForeignContent content = foreign_content(bytes);
  if (content == ForeignContent::kNone) return;
  throw_bad_input(path.string() + ": " + describe(content, bytes));
}

}  // namespace sam3trt
