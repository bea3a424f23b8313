#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/digest.hpp"

namespace sam3trt {

/// One file that a download has completed.
struct RecordedFile {
  std::string name;
  uint64_t size = 0;
  Digest digest;
};

/// What a folder holds and where it came from, so that a complete one is recognised without asking
/// the hub. Stored as `.sam3trt_download.json` in that folder.
struct DownloadRecord {
  std::string repo;
  std::string revision;  ///< As it was asked for.
  std::string weights;   ///< As it was asked for.
  std::string commit;    ///< What the revision stood for.
  std::vector<RecordedFile> files;
};

/// Reads a folder's record; nothing when there is none, or none that can be used.
[[nodiscard]] std::optional<DownloadRecord> read_download_record(
    const std::filesystem::path& folder);

/// Writes it; throws like AtomicFile.
void write_download_record(const std::filesystem::path& folder, const DownloadRecord& record);

/// True when the file is there with that size and digest.
[[nodiscard]] bool is_intact(const std::filesystem::path& folder, const RecordedFile& file);

}  // namespace sam3trt
