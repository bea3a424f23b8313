#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// One stored file of a zip archive. Its name is only ever compared, never used as a path.
struct ZipEntry {
  std::string_view name;
  std::span<const std::byte> bytes;
};

/// The entries of a zip archive by name. Reads the central directory (zip64 too) and checks it
/// against the local headers; compressed, encrypted, overlapping and doubly named entries and
/// archives of several disks are refused, so that what is returned never exceeds `bytes`. The
/// result views `bytes`; `where` starts every message. Throws Error(kBadInput).
///
/// Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
[[nodiscard]] std::vector<ZipEntry> parse_zip(std::span<const std::byte> bytes,
                                              const std::string& where);

/// The names in the directory of a zip archive in its order, of entries that parse_zip refuses too.
/// Throws Error(kBadInput) when there is no directory that can be read.
[[nodiscard]] std::vector<std::string_view> list_zip_names(std::span<const std::byte> bytes,
                                                           const std::string& where);

/// The entry of that name in the result of parse_zip, or null.
[[nodiscard]] const ZipEntry* find_entry(std::span<const ZipEntry> entries, std::string_view name);

}  // namespace sam3trt
