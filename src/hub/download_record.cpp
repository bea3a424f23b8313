#include "hub/download_record.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "hub/repository.hpp"

namespace sam3trt {
namespace {

constexpr const char* kFileName = ".sam3trt_download.json";
constexpr std::streamsize kLargestRecord = 1 << 20;

RecordedFile file_from_json(const nlohmann::json& entry) {
  RecordedFile file;
  file.name = entry.at("name").get<std::string>();
  file.size = entry.at("size").get<uint64_t>();
  file.digest.kind = digest_kind_of(entry.at("digest_kind").get<std::string>());
  file.digest.hex = entry.at("digest").get<std::string>();
  if (!is_plain_file_name(file.name)) throw_bad_input("bad name");
  return file;
}

}  // namespace

std::optional<DownloadRecord> read_download_record(const std::filesystem::path& folder) {
  std::ifstream file(folder / kFileName, std::ios::binary);
  std::string text(static_cast<size_t>(kLargestRecord), '\0');
  file.read(text.data(), kLargestRecord);
  text.resize(static_cast<size_t>(file.gcount()));
  try {
    const auto document = nlohmann::json::parse(text);
    DownloadRecord record;
    record.repo = document.at("repo").get<std::string>();
    record.revision = document.at("revision").get<std::string>();
    record.weights = document.at("weights").get<std::string>();
    record.commit = document.at("commit").get<std::string>();
    for (const auto& entry : document.at("files")) record.files.push_back(file_from_json(entry));
    return record;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void write_download_record(const std::filesystem::path& folder, const DownloadRecord& record) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const RecordedFile& file : record.files) {
    files.push_back({{"name", file.name},
                     {"size", file.size},
                     {"digest_kind", name_of(file.digest.kind)},
                     {"digest", file.digest.hex}});
  }
  const nlohmann::ordered_json document = {{"repo", record.repo},
                                           {"revision", record.revision},
                                           {"weights", record.weights},
                                           {"commit", record.commit},
                                           {"files", files}};
  AtomicFile file(folder / kFileName);
  file.write(document.dump(2) + "\n");
  file.commit();
}

bool is_intact(const std::filesystem::path& folder, const RecordedFile& file) {
  const std::filesystem::path path = folder / file.name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (std::filesystem::file_size(path, error) != file.size || error) return false;
  return digest_of_file(path, file.digest.kind) == file.digest;
}

}  // namespace sam3trt
