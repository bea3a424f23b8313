#include "hub/manifest.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "hub/repository.hpp"

namespace sam3trt {
namespace {

constexpr const char* kFileName = ".sam3trt_download.json";
constexpr std::streamsize kLargestManifest = 1 << 20;

ManifestFile file_from_json(const nlohmann::json& entry) {
  ManifestFile file;
  file.name = entry.at("name").get<std::string>();
  file.size = entry.at("size").get<uint64_t>();
  file.digest.kind = digest_kind_of(entry.at("digest_kind").get<std::string>());
  file.digest.hex = entry.at("digest").get<std::string>();
  if (!is_plain_file_name(file.name)) throw_bad_input("bad name");
  return file;
}

}  // namespace

std::optional<Manifest> read_manifest(const std::filesystem::path& folder) {
  std::ifstream file(folder / kFileName, std::ios::binary);
  std::string text(static_cast<size_t>(kLargestManifest), '\0');
  file.read(text.data(), kLargestManifest);
  text.resize(static_cast<size_t>(file.gcount()));
  try {
    const auto document = nlohmann::json::parse(text);
    Manifest manifest;
    manifest.repo = document.at("repo").get<std::string>();
    manifest.revision = document.at("revision").get<std::string>();
    manifest.weights = document.at("weights").get<std::string>();
    manifest.commit = document.at("commit").get<std::string>();
    for (const auto& entry : document.at("files")) manifest.files.push_back(file_from_json(entry));
    return manifest;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void write_manifest(const std::filesystem::path& folder, const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"name", file.name},
                     {"size", file.size},
                     {"digest_kind", name_of(file.digest.kind)},
                     {"digest", file.digest.hex}});
  }
  const nlohmann::ordered_json document = {{"repo", manifest.repo},
                                           {"revision", manifest.revision},
                                           {"weights", manifest.weights},
                                           {"commit", manifest.commit},
                                           {"files", files}};
  AtomicFile file(folder / kFileName);
  file.write(document.dump(2) + "\n");
  file.commit();
}

bool is_intact(const std::filesystem::path& folder, const ManifestFile& file) {
  const std::filesystem::path path = folder / file.name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (std::filesystem::file_size(path, error) != file.size || error) return false;
  return digest_of_file(path, file.digest.kind) == file.digest;
}

}  // namespace sam3trt
