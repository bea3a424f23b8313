#include "jobs/tar_file.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/lower.hpp"

namespace sam3trt {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 18;
constexpr int64_t kMaxEntryBytes = int64_t{1} << 30;
constexpr std::array<std::string_view, 3> kEndings = {".tar", ".tar.gz", ".tgz"};

archive* handle(void* opened) { return static_cast<archive*>(opened); }

}  // namespace

void TarFile::Closer::operator()(void* opened) const { ::archive_read_free(handle(opened)); }

TarFile::TarFile(std::filesystem::path path)
    : path_(std::move(path)), archive_(::archive_read_new()) {
  if (!archive_) throw Error(ErrorCode::kInternal, path_.string() + ": out of memory");
  archive* opened = handle(archive_.get());
  // No others: libarchive runs programs of the system for some formats.
  ::archive_read_support_filter_gzip(opened);
  ::archive_read_support_format_tar(opened);
  if (::archive_read_open_filename(opened, path_.c_str(), kBlockBytes) != ARCHIVE_OK) {
    const char* reason = ::archive_error_string(opened);
    throw_bad_input(path_.string() +
                    ": cannot be opened: " + (reason != nullptr ? reason : "no reason given"));
  }
}

TarFile::~TarFile() = default;
TarFile::TarFile(TarFile&&) noexcept = default;
TarFile& TarFile::operator=(TarFile&&) noexcept = default;

void TarFile::throw_damaged(const std::string& where) const {
  const char* reason = ::archive_error_string(handle(archive_.get()));
  throw_bad_input(path_.string() + ": is not a whole tar file: " + where + ": " +
                  (reason != nullptr ? reason : "no reason given"));
}

std::optional<TarEntry> TarFile::next() {
  archive_entry* found = nullptr;
  while (true) {
    const int status = ::archive_read_next_header(handle(archive_.get()), &found);
    if (status == ARCHIVE_EOF) return std::nullopt;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      throw_damaged("entry " + std::to_string(entries_));
    }
    const uint64_t index = entries_++;
    const char* name = ::archive_entry_pathname(found);
    // A hard link has the content of another entry, which is an image of its own.
    const bool is_link = ::archive_entry_hardlink(found) != nullptr;
    if (::archive_entry_filetype(found) != AE_IFREG || is_link || name == nullptr) continue;
    entry_ = {
        name, index, ::archive_entry_size(found),
        int64_t{::archive_entry_mtime(found)} * 1'000'000'000 + ::archive_entry_mtime_nsec(found)};
    return entry_;
  }
}

std::vector<std::byte> TarFile::read() {
  if (entry_.bytes < 0 || entry_.bytes > kMaxEntryBytes) {
    throw_bad_input(path_.string() + "/" + entry_.name + ": is larger than 1 GiB");
  }
  // What is there decides, not what the header claims.
  std::vector<std::byte> bytes;
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  while (true) {
    const int status = ::archive_read_data_block(handle(archive_.get()), &block, &size, &offset);
    if (status == ARCHIVE_EOF) return bytes;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) throw_damaged(entry_.name);
    const auto begin = static_cast<size_t>(offset);
    if (offset < 0 || offset > kMaxEntryBytes || size > kMaxEntryBytes - begin) {
      throw_bad_input(path_.string() + "/" + entry_.name + ": is larger than 1 GiB");
    }
    bytes.resize(std::max(bytes.size(), begin + size));
    if (size > 0) std::memcpy(bytes.data() + begin, block, size);
  }
}

bool has_tar_ending(const std::filesystem::path& path) {
  const std::string name = lower(path.filename().string());
  return std::ranges::any_of(kEndings,
                             [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace sam3trt
