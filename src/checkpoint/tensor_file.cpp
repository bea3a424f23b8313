#include "checkpoint/tensor_file.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/safetensors.hpp"
#include "checkpoint/torch_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

fs::path find_in_folder(const fs::path& folder) {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "sam3.pt"}) {
    if (file_exists(folder / name)) return folder / name;
  }
  throw_bad_input(folder.string() +
                  ": holds no checkpoint: expected model.safetensors, "
                  "model.safetensors.index.json or sam3.pt; fetch one with 'sam3trt download'");
}

void append(std::vector<StoredTensor>& all, std::vector<StoredTensor> more) {
  std::ranges::move(more, std::back_inserter(all));
}

TensorFile open_shards(const fs::path& path) {
  TensorFile result;
  result.format = "safetensors";
  result.path = path;
  result.folder = path.parent_path();
  const MappedFile text(path);
  const ShardIndex index = parse_shard_index(text.bytes(), path.string());
  std::map<std::string_view, std::string_view> expected;
  for (const auto& [tensor, file] : index.tensors) expected.emplace(tensor, file);
  for (const std::string& name : index.files) {
    const fs::path shard = result.folder / name;
    if (!file_exists(shard)) {
      throw_bad_input(shard.string() + ": is missing though " + path.filename().string() +
                      " names it; download the checkpoint again");
    }
    result.files.emplace_back(shard);
    auto tensors = parse_safetensors(result.files.back().bytes(), shard.string());
    for (const StoredTensor& tensor : tensors) {
      const auto entry = expected.find(tensor.name);
      if (entry == expected.end() || entry->second != name) {
        throw_bad_input(shard.string() + ": tensor \"" + tensor.name +
                        "\": " + path.filename().string() + " does not place it in this file");
      }
      expected.erase(entry);
    }
    append(result.tensors, std::move(tensors));
  }
  if (!expected.empty()) {
    const auto& [tensor, file] = *expected.begin();
    throw_bad_input(path.string() + ": places tensor \"" + std::string(tensor) + "\" in " +
                    std::string(file) + ", which does not hold it");
  }
  return result;
}

}  // namespace

bool file_exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

TensorFile open_tensor_file(const fs::path& given) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(given, ignored);
  const fs::path path = is_folder ? find_in_folder(given) : given;
  if (path.extension() == ".json") return open_shards(path);
  TensorFile result;
  result.path = path;
  result.folder = path.parent_path();
  result.files.emplace_back(path);
  const auto bytes = result.files.back().bytes();
  if (starts_with(bytes, "PK")) {
    result.format = "torch zip";
    result.tensors = parse_torch_file(bytes, path.string());
    return result;
  }
  // Pickle protocol 2 and the long integer that starts torch's format before version 1.6.
  if (starts_with(bytes, "\x80\x02\x8a\x0a")) {
    throw_bad_input(path.string() +
                    ": has torch's format before version 1.6; save it again with "
                    "torch.save(torch.load(FILE, weights_only=True), NEW_FILE)");
  }
  result.format = "safetensors";
  result.tensors = parse_safetensors(bytes, path.string());
  return result;
}

}  // namespace sam3trt
