#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/digest.hpp"

namespace sam3trt {

/// Which weight files of the repository to fetch.
enum class WeightFormat {
  kSafetensors,  ///< model.safetensors, or its shards with the index.
  kTorch,        ///< sam3.pt.
  kBoth,
};

/// What `sam3trt download` is asked for.
struct DownloadRequest {
  std::string repo = "facebook/sam3";
  std::string revision = "main";
  WeightFormat weights = WeightFormat::kSafetensors;
  std::filesystem::path output;
  std::string token;          ///< From the command line; others are found by find_hub_token.
  bool refresh = false;       ///< Ask the hub even when the folder is complete.
  long stall_timeout_s = 60;  ///< A transfer that brings nothing for so long is cut.
  /// Called as bytes of a file arrive.
  std::function<void(const std::string& file, uint64_t done, uint64_t total)> progress;
};

/// How a file came to be there.
enum class FileState { kPresent, kResumed, kDownloaded };

struct DownloadedFile {
  std::string name;
  uint64_t size = 0;
  Digest digest;
  FileState state = FileState::kPresent;
};

struct DownloadResult {
  std::string commit;
  std::vector<DownloadedFile> files;
};

/// Fetches a checkpoint, its configuration and its tokenizer from the hub into a folder, which is
/// made when missing. Does not ask the hub when the folder is complete and its hashes match.
/// Interrupted files are gone on with; each file gets its name only when size and digest are right.
/// A file whose hash the hub does not name is logged. Throws Error: kBadInput for a gated
/// repository, a wrong token, a name that the hub does not know or a web page or Git LFS pointer in
/// place of a file, kVerificationFailed for a file whose digest is wrong, kInternal for a lost
/// connection or a full disk. What is complete stays.
[[nodiscard]] DownloadResult download_checkpoint(const DownloadRequest& request);

}  // namespace sam3trt
