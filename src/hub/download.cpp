#include "hub/download.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "base/foreign_file.hpp"
#include "base/log.hpp"
#include "base/output_target.hpp"
#include "base/temporary.hpp"
#include "hub/download_record.hpp"
#include "hub/part_file.hpp"
#include "hub/repository.hpp"
#include "hub/token.hpp"

namespace sam3trt {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kTorchFile = "sam3.pt";
constexpr uint64_t kLargestIndex = uint64_t{64} * 1024 * 1024;
constexpr int kMostIdleAttempts = 4;

/// Everything beside the weights that is fetched when the repository has it.
constexpr std::array kSmallFiles = {"LICENSE",
                                    "config.json",
                                    "processor_config.json",
                                    "preprocessor_config.json",
                                    "tokenizer.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "tokenizer_config.json",
                                    "added_tokens.json",
                                    "special_tokens_map.json"};

std::string weights_name(WeightFormat format) {
  switch (format) {
    case WeightFormat::kSafetensors:
      return "safetensors";
    case WeightFormat::kTorch:
      return "pt";
    case WeightFormat::kBoth:
      return "both";
  }
  return "";
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Shards that an index names, each once.
std::vector<std::string> shards_of(const std::filesystem::path& index) {
  if (std::filesystem::file_size(index) > kLargestIndex) {
    throw_bad_input(index.string() + ": larger than 64 MiB");
  }
  std::ifstream file(index, std::ios::binary);
  const auto document = nlohmann::json::parse(file, nullptr, false);
  if (!document.is_object() || !document.contains("weight_map") ||
      !document["weight_map"].is_object()) {
    throw_bad_input(index.string() + ": expected an object with 'weight_map'");
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : document["weight_map"].items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (!is_plain_file_name(name) || !name.ends_with(".safetensors")) {
      throw_bad_input(index.string() + ": '" + tensor +
                      "': expected the name of a .safetensors file in the same folder, found " +
                      shard.dump());
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

std::string in_megabytes(uint64_t bytes) {
  constexpr uint64_t kMegabyte = 1000 * 1000;
  return std::to_string((bytes + kMegabyte - 1) / kMegabyte) + " MB";
}

void check_free_space(const std::filesystem::path& folder, uint64_t needed) {
  std::error_code error;
  const auto space = std::filesystem::space(folder, error);
  if (error || space.available >= needed) return;
  throw Error(ErrorCode::kInternal,
              folder.string() + ": " + in_megabytes(needed) + " are still to come, but only " +
                  in_megabytes(space.available) +
                  " are free: make room, or name another folder with --output");
}

/// Accepted for its size alone is said, because nobody could tell it from another file of that
/// size.
void note_size_only(const std::string& name, const Digest& digest, uint64_t size) {
  if (digest.kind != DigestKind::kNone) return;
  log(LogLevel::kWarning, name + ": the server names no hash of it; only its size of " +
                              std::to_string(size) + " bytes was checked");
}

/// Throws Error(kBadInput) when something else arrived in place of a file; `path` holds it.
void check_content(const std::string& name, const std::filesystem::path& path) {
  if (name == "LICENSE") return;  // any text may be one
  std::ifstream file(path, std::ios::binary);
  std::vector<char> start(1024);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<size_t>(file.gcount()));
  const auto bytes = std::as_bytes(std::span(start));
  switch (foreign_content(bytes)) {
    case ForeignContent::kNone:
      return;
    case ForeignContent::kEmpty:
      if (name.ends_with(".txt")) return;
      throw_bad_input(name + ": the server sends an empty file; check HF_ENDPOINT and --repo");
    case ForeignContent::kGitLfsPointer:
      throw_bad_input(name +
                      ": the server sends a Git LFS pointer in place of the file: it keeps a copy "
                      "of the repository without its large files; name another one in HF_ENDPOINT");
    case ForeignContent::kWebPage:
      throw_bad_input(name +
                      ": the server answers with a web page, such as a sign-in page, in place of "
                      "the file; check HF_ENDPOINT, the token and any proxy");
    case ForeignContent::kErrorAnswer:
      throw_bad_input(name + ": the server's answer " +
                      describe(ForeignContent::kErrorAnswer, bytes) + "; check HF_ENDPOINT");
  }
}

/// Fetches the files of one request.
class Downloader {
 public:
  Downloader(const DownloadRequest& request, const HubToken& token, const std::string& endpoint)
      : request_(request),
        client_(endpoint, token.value, request.stall_timeout_s),
        repository_({endpoint, request.repo, request.revision}, token, client_) {}

  DownloadResult run() {
    retrying("the list of files", [&] { repository_.open(); });
    result_.commit = repository_.commit();
    fetch_all(small_files());
    fetch_all(weight_files());
    return std::move(result_);
  }

 private:
  /// Runs `attempt` again after a lost connection, with growing pauses. An attempt may return true
  /// to say that it got further, which starts the count anew.
  template <typename Attempt>
  void retrying(const std::string& what, Attempt attempt) {
    for (int failures = 0;;) {
      try {
        attempt();
        return;
      } catch (const ConnectionError& error) {
        if (std::exchange(got_further_, false)) failures = 0;
        if (++failures >= kMostIdleAttempts) {
          throw Error(ErrorCode::kInternal,
                      what + ": " + error.what() +
                          "; check the connection and run the same command again to go on");
        }
        log(LogLevel::kInfo, what + ": " + error.what() + "; trying again");
        std::this_thread::sleep_for(std::chrono::milliseconds(250) * (1 << failures));
      }
    }
  }

  [[nodiscard]] std::vector<std::string> small_files() const {
    std::vector<std::string> names;
    for (const char* name : kSmallFiles) {
      if (contains(repository_.files(), name)) names.emplace_back(name);
    }
    const bool single = contains(repository_.files(), kSingleFile);
    if (wants(WeightFormat::kSafetensors) && !single && contains(repository_.files(), kIndex)) {
      names.emplace_back(kIndex);
    }
    return names;
  }

  [[nodiscard]] std::vector<std::string> weight_files() const {
    std::vector<std::string> names;
    const auto& files = repository_.files();
    if (wants(WeightFormat::kSafetensors)) {
      if (contains(files, kSingleFile)) {
        names.emplace_back(kSingleFile);
      } else if (contains(files, kIndex)) {
        names = shards_of(request_.output / kIndex);
      } else {
        throw_bad_input(request_.repo + ": expected " + kSingleFile + " or " + kIndex +
                        ", found neither" +
                        (contains(files, kTorchFile) ? "; --weights pt fetches sam3.pt" : ""));
      }
    }
    if (wants(WeightFormat::kTorch)) {
      if (!contains(files, kTorchFile)) {
        throw_bad_input(request_.repo + ": expected " + kTorchFile +
                        ", found none; use --weights safetensors");
      }
      names.emplace_back(kTorchFile);
    }
    return names;
  }

  [[nodiscard]] bool wants(WeightFormat format) const {
    return request_.weights == format || request_.weights == WeightFormat::kBoth;
  }

  void fetch_all(const std::vector<std::string>& names) {
    std::vector<RemoteFile> missing;
    uint64_t needed = 0;
    for (const std::string& name : names) {
      RemoteFile remote;
      retrying(name, [&] { remote = repository_.find(name); });
      if (is_intact(request_.output, {name, remote.size, remote.digest})) {
        add_result(remote, FileState::kPresent);
        continue;
      }
      std::error_code error;
      const auto part = std::filesystem::file_size(part_path(name), error);
      needed += remote.size - (error ? 0 : std::min<uint64_t>(part, remote.size));
      missing.push_back(std::move(remote));
    }
    check_free_space(request_.output, needed);
    for (const RemoteFile& remote : missing) fetch(remote);
  }

  void fetch(const RemoteFile& remote) {
    PartFile part(request_.output / remote.name);
    // Without a digest nobody can tell whether the rest belongs to what is there.
    if (part.size() > remote.size || remote.digest.kind == DigestKind::kNone) part.clear();
    bool resumed = part.size() > 0;
    for (;;) {
      if (part.size() < remote.size) {
        retrying(remote.name, [&] { transfer(remote, part, resumed); });
      }
      if (digest_of_file(part.path(), remote.digest.kind) == remote.digest) break;
      if (!resumed) {
        part.discard();
        throw Error(ErrorCode::kVerificationFailed,
                    remote.name + ": what arrived does not have the " +
                        name_of(remote.digest.kind) + " " + remote.digest.hex +
                        " that the hub announces; it was deleted: run the same command again");
      }
      log(LogLevel::kWarning, remote.name +
                                  ": the part that was there belongs to another file; "
                                  "starting again");
      part.clear();
      resumed = false;
    }
    try {
      check_content(remote.name, part.path());
    } catch (const Error&) {
      part.discard();
      throw;
    }
    part.commit();
    add_result(remote, resumed ? FileState::kResumed : FileState::kDownloaded);
  }

  /// One request for what is missing of `part`; throws ConnectionError when the end does not come.
  void transfer(const RemoteFile& remote, PartFile& part, bool& resumed) {
    const uint64_t from = part.size();
    const BodySink sink{
        [&](const HubResponse& response) {
          const std::string expected = "bytes " + std::to_string(part.size()) + "-";
          const bool goes_on =
              response.status == 206 && response.header("content-range").starts_with(expected);
          if (part.size() == 0 || goes_on) return;
          if (response.status == 206) {
            throw Error(ErrorCode::kInternal, remote.name + ": the server sent another range, '" +
                                                  response.header("content-range") + "'");
          }
          part.clear();
          resumed = false;
        },
        [&](std::span<const std::byte> bytes) {
          if (bytes.size() > remote.size - part.size()) {
            part.discard();
            throw Error(ErrorCode::kInternal, remote.name + ": the server sent more than the " +
                                                  std::to_string(remote.size) +
                                                  " bytes that it announced");
          }
          part.append(bytes);
          got_further_ = true;
          if (request_.progress) request_.progress(remote.name, part.size(), remote.size);
        }};
    const HubResponse response = client_.stream(remote.url, from, sink);
    if (response.status == 416) {
      part.clear();
      resumed = false;
      throw ConnectionError("the server refuses to go on from byte " + std::to_string(from));
    }
    repository_.check(response, remote.name);
    if (part.size() < remote.size) {
      throw ConnectionError("the connection ended after " + std::to_string(part.size()) + " of " +
                            std::to_string(remote.size) + " bytes");
    }
  }

  [[nodiscard]] std::filesystem::path part_path(const std::string& name) const {
    return request_.output / (name + ".part");
  }

  void add_result(const RemoteFile& remote, FileState state) {
    note_size_only(remote.name, remote.digest, remote.size);
    result_.files.push_back({remote.name, remote.size, remote.digest, state});
  }

  const DownloadRequest& request_;
  HttpClient client_;
  Repository repository_;
  DownloadResult result_;
  bool got_further_ = false;
};

/// The result of an earlier download of the same, when all its files are still as they were.
std::optional<DownloadResult> find_complete(const DownloadRequest& request) {
  const auto record = read_download_record(request.output);
  if (!record || record->repo != request.repo || record->revision != request.revision ||
      record->weights != weights_name(request.weights) || record->files.empty()) {
    return std::nullopt;
  }
  DownloadResult result{record->commit, {}};
  for (const RecordedFile& file : record->files) {
    if (!is_intact(request.output, file)) return std::nullopt;
    result.files.push_back({file.name, file.size, file.digest, FileState::kPresent});
  }
  for (const DownloadedFile& file : result.files) {
    note_size_only(file.name, file.digest, file.size);
  }
  return result;
}

}  // namespace

DownloadResult download_checkpoint(const DownloadRequest& request) {
  if (!request.refresh) {
    if (auto complete = find_complete(request)) return std::move(*complete);
  }
  const HubToken token = find_hub_token(request.token);
  const std::string endpoint = hub_endpoint();
  const bool local =
      endpoint.starts_with("http://127.") || endpoint.starts_with("http://localhost");
  if (!token.value.empty() && endpoint.starts_with("http://") && !local) {
    log(LogLevel::kWarning, "HF_ENDPOINT " + endpoint + ": the token travels unencrypted");
  }
  const std::string option = "--output " + request.output.string();
  check_output_folder(request.output, option);
  Downloader downloader(request, token, endpoint);
  ResultFolder folder(request.output, option);
  DownloadResult result = downloader.run();
  DownloadRecord record{
      request.repo, request.revision, weights_name(request.weights), result.commit, {}};
  for (const DownloadedFile& file : result.files) {
    record.files.push_back({file.name, file.size, file.digest});
  }
  write_download_record(request.output, record);
  folder.keep();
  return result;
}

}  // namespace sam3trt
