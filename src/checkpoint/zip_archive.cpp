#include "checkpoint/zip_archive.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kEndSize = 22;
constexpr uint64_t kEnd64Size = 56;
constexpr uint64_t kLocatorSize = 20;
constexpr uint64_t kCentralSize = 46;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kMaxComment = 0xFFFF;
constexpr uint32_t kEndMark = 0x06054B50;
constexpr uint32_t kEnd64Mark = 0x06064B50;
constexpr uint32_t kLocatorMark = 0x07064B50;
constexpr uint32_t kCentralMark = 0x02014B50;
constexpr uint32_t kLocalMark = 0x04034B50;
constexpr uint64_t kFull16 = 0xFFFF;      // "see the zip64 record"
constexpr uint64_t kFull32 = 0xFFFFFFFF;  // the same

/// Little-endian numbers of a byte range; every access is checked.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(&where) {}

  [[nodiscard]] uint64_t size() const { return bytes_.size(); }

  [[nodiscard]] std::span<const std::byte> range(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      refuse("a zip record at byte " + std::to_string(offset) + " ends outside the file");
    }
    return bytes_.subspan(offset, size);
  }

  [[nodiscard]] uint64_t number(uint64_t offset, uint64_t size) const {
    uint64_t value = 0;
    uint64_t shift = 0;
    for (const std::byte byte : range(offset, size)) {
      value |= std::to_integer<uint64_t>(byte) << shift;
      shift += 8;
    }
    return value;
  }

  [[noreturn]] void refuse(const std::string& problem) const {
    throw_bad_input(*where_ + ": is a damaged torch zip file: " + problem + "; download it again");
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string* where_;
};

struct Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t entries = 0;
};

uint64_t find_end(const Reader& file) {
  if (file.size() < kEndSize) file.refuse("it is too short");
  const uint64_t last = file.size() - kEndSize;
  const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (uint64_t at = last + 1; at-- > first;) {
    if (file.number(at, 4) == kEndMark && file.number(at + 20, 2) == last - at) return at;
  }
  file.refuse("it has no end record, as after an interrupted download");
}

Directory read_directory(const Reader& file) {
  const uint64_t end = find_end(file);
  Directory directory{file.number(end + 16, 4), file.number(end + 12, 4), file.number(end + 10, 2)};
  uint64_t limit = end;
  uint64_t disk = file.number(end + 4, 2);
  const bool located = end >= kLocatorSize && file.number(end - kLocatorSize, 4) == kLocatorMark;
  if (located) {
    const uint64_t end64 = file.number(end - kLocatorSize + 8, 8);
    if (end64 > end - kLocatorSize || end - kLocatorSize - end64 < kEnd64Size ||
        file.number(end64, 4) != kEnd64Mark) {
      file.refuse("its zip64 end record is not where the locator says");
    }
    directory = {file.number(end64 + 48, 8), file.number(end64 + 40, 8),
                 file.number(end64 + 32, 8)};
    disk = file.number(end64 + 16, 4);
    limit = end64;
  } else if (directory.offset == kFull32 || directory.size == kFull32 ||
             directory.entries == kFull16) {
    file.refuse("its zip64 end record is missing");
  }
  if (disk != 0) file.refuse("it is one part of several");
  if (directory.offset > limit || directory.size > limit - directory.offset) {
    file.refuse("its directory ends outside the file");
  }
  if (directory.entries > directory.size / kCentralSize) {
    file.refuse("its directory is too small for " + std::to_string(directory.entries) + " entries");
  }
  return directory;
}

/// Numbers of one entry in the central directory.
struct Central {
  std::string_view name;
  uint64_t flags = 0;
  uint64_t method = 0;
  uint64_t stored = 0;
  uint64_t size = 0;
  uint64_t local = 0;
  uint64_t next = 0;  ///< Offset of the next entry.
};

std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Replaces 32-bit numbers that are full by those of the zip64 extra field (APPNOTE 4.5.3).
void apply_zip64(const Reader& file, uint64_t begin, uint64_t end, Central& entry) {
  for (uint64_t at = begin; end - at >= 4;) {
    const uint64_t id = file.number(at, 2);
    const uint64_t size = file.number(at + 2, 2);
    at += 4;
    if (size > end - at) break;
    if (id == 1) {
      uint64_t field = at;
      for (uint64_t* value : {&entry.size, &entry.stored, &entry.local}) {
        if (*value != kFull32) continue;
        if (at + size - field < 8) break;
        *value = file.number(field, 8);
        field += 8;
      }
      return;
    }
    at += size;
  }
}

Central read_central(const Reader& file, uint64_t at, uint64_t end) {
  if (end - at < kCentralSize || file.number(at, 4) != kCentralMark) {
    file.refuse("its directory has no entry at byte " + std::to_string(at));
  }
  const uint64_t name_size = file.number(at + 28, 2);
  const uint64_t extra_size = file.number(at + 30, 2);
  const uint64_t comment_size = file.number(at + 32, 2);
  Central entry;
  entry.flags = file.number(at + 8, 2);
  entry.method = file.number(at + 10, 2);
  entry.stored = file.number(at + 20, 4);
  entry.size = file.number(at + 24, 4);
  entry.local = file.number(at + 42, 4);
  entry.next = at + kCentralSize + name_size + extra_size + comment_size;
  if (entry.next > end) file.refuse("a directory entry ends outside the directory");
  entry.name = text(file.range(at + kCentralSize, name_size));
  const uint64_t extra = at + kCentralSize + name_size;
  apply_zip64(file, extra, extra + extra_size, entry);
  return entry;
}

struct Placed {
  ZipEntry entry;
  uint64_t begin = 0;
  uint64_t end = 0;
};

Placed read_entry(const Reader& file, const Central& central, uint64_t limit,
                  const std::string& where) {
  const std::string name = "\"" + printable(central.name) + "\"";
  if ((central.flags & 1U) != 0) throw_bad_input(where + ": zip entry " + name + " is encrypted");
  if (central.method != 0 || central.stored != central.size) {
    throw_bad_input(where + ": zip entry " + name +
                    " is compressed; torch.save stores entries uncompressed, so save the file "
                    "again with torch.save(torch.load(FILE, weights_only=True), NEW_FILE)");
  }
  if (file.number(central.local, 4) != kLocalMark) {
    file.refuse("zip entry " + name + " has no header at byte " + std::to_string(central.local));
  }
  const uint64_t name_size = file.number(central.local + 26, 2);
  const uint64_t extra_size = file.number(central.local + 28, 2);
  if (text(file.range(central.local + kLocalSize, name_size)) != central.name) {
    file.refuse("zip entry " + name + " has another name in its header");
  }
  Placed placed;
  placed.begin = central.local;
  const uint64_t data = central.local + kLocalSize + name_size + extra_size;
  if (data > limit || central.size > limit - data) {
    file.refuse("zip entry " + name + " of " + std::to_string(central.size) +
                " bytes ends outside the file");
  }
  placed.end = data + central.size;
  placed.entry = {central.name, file.range(data, central.size)};
  return placed;
}

}  // namespace

std::vector<std::string_view> list_zip_names(std::span<const std::byte> bytes,
                                             const std::string& where) {
  const Reader file(bytes, where);
  const Directory directory = read_directory(file);
  const uint64_t end = directory.offset + directory.size;
  std::vector<std::string_view> names;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    const Central central = read_central(file, at, end);
    names.push_back(central.name);
    at = central.next;
  }
  return names;
}

std::vector<ZipEntry> parse_zip(std::span<const std::byte> bytes, const std::string& where) {
  const Reader file(bytes, where);
  const Directory directory = read_directory(file);
  const uint64_t end = directory.offset + directory.size;
  std::vector<Placed> placed;
  placed.reserve(directory.entries);
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    const Central central = read_central(file, at, end);
    placed.push_back(read_entry(file, central, directory.offset, where));
    at = central.next;
  }
  std::ranges::sort(placed, {}, &Placed::begin);
  for (size_t i = 1; i < placed.size(); ++i) {
    if (placed[i].begin >= placed[i - 1].end) continue;
    file.refuse("zip entries \"" + printable(placed[i - 1].entry.name) + "\" and \"" +
                printable(placed[i].entry.name) + "\" overlap");
  }
  std::vector<ZipEntry> entries;
  entries.reserve(placed.size());
  for (const Placed& item : placed) entries.push_back(item.entry);
  std::ranges::sort(entries, {}, &ZipEntry::name);
  const auto twice = std::ranges::adjacent_find(entries, {}, &ZipEntry::name);
  if (twice != entries.end()) {
    file.refuse("zip entry \"" + printable(twice->name) + "\" appears twice");
  }
  return entries;
}

const ZipEntry* find_entry(std::span<const ZipEntry> entries, std::string_view name) {
  const auto found = std::ranges::lower_bound(entries, name, {}, &ZipEntry::name);
  return found == entries.end() || found->name != name ? nullptr : &*found;
}

}  // namespace sam3trt
