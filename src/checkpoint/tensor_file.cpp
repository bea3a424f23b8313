#include "checkpoint/tensor_file.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/foreign_file.hpp"
#include "checkpoint/file_kind.hpp"
#include "checkpoint/name_list.hpp"
#include "checkpoint/safetensors.hpp"
#include "checkpoint/torch_file.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

// In the order in which they are looked for; the last two are those of transformers before
// safetensors.
constexpr auto kFileNames =
    std::to_array<const char*>({"model.safetensors", "model.safetensors.index.json", "sam3.pt",
                                "pytorch_model.bin", "pytorch_model.bin.index.json"});

fs::path find_in_folder(const fs::path& folder) {
  if (file_exists(folder / "adapter_config.json")) {
    throw_bad_input(folder.string() +
                    ": holds a LoRA or another PEFT adapter (adapter_config.json), which is only "
                    "a change to a model; merge it into the model it was trained on with peft's "
                    "merge_and_unload(), save that with save_pretrained() and export the result");
  }
  for (const char* name : kFileNames) {
    if (file_exists(folder / name)) return folder / name;
  }
  const std::string found = describe_other_folder(folder);
  throw_bad_input(folder.string() + ": " +
                  (found.empty()
                       ? "holds no checkpoint: expected model.safetensors, "
                         "model.safetensors.index.json or sam3.pt; fetch one with 'sam3trt "
                         "download'"
                       : found));
}

/// The tensors of one file, whose format its first bytes say, whatever its name ends in.
std::vector<StoredTensor> parse_tensors(const MappedFile& file, TensorFile& result) {
  const auto bytes = file.bytes();
  const std::string where = file.path().string();
  if (const std::string other = describe_other_file(bytes, file.path()); !other.empty()) {
    throw_bad_input(where + ": " + other);
  }
  if (bytes.size() >= 2 && bytes[0] == std::byte{'P'} && bytes[1] == std::byte{'K'}) {
    result.format = "torch zip";
    return parse_torch_file(bytes, where, &result.notes);
  }
  result.format = "safetensors";
  return parse_safetensors(bytes, where);
}

/// A repository's name or address in place of a path: nothing is fetched on the way.
void refuse_remote_name(const fs::path& path) {
  const std::string text = path.string();
  const size_t slash = text.find('/');
  const bool address = text.find("://") != std::string::npos;
  const bool repository = slash != std::string::npos && slash > 0 && slash + 1 < text.size() &&
                          text.find('/', slash + 1) == std::string::npos && !path.has_extension() &&
                          text.front() != '.';
  if ((!address && !repository) || file_exists(path)) return;
  // A folder that is there makes it a path with a mistake in it.
  std::error_code ignored;
  if (!address && fs::is_directory(path.parent_path(), ignored)) return;
  throw_bad_input(printable(text) +
                  ": there is no such file or folder; a repository is fetched first: sam3trt "
                  "download --repo " +
                  (address ? std::string("OWNER/NAME") : printable(text)) + " --output FOLDER");
}

void append(std::vector<StoredTensor>& all, std::vector<StoredTensor> more) {
  std::ranges::move(more, std::back_inserter(all));
}

/// A configuration or an answer of a server in place of the index is told apart.
void check_is_index(const MappedFile& text, const fs::path& path) {
  const ForeignContent content = foreign_content(text.bytes());
  if (content != ForeignContent::kNone) {
    throw_bad_input(path.string() + ": " + describe(content, text.bytes()));
  }
  const std::string_view all(reinterpret_cast<const char*>(text.bytes().data()),
                             text.bytes().size());
  if (all.find("\"weight_map\"") == all.npos &&
      path.filename().string().find("index") == std::string::npos) {
    throw_bad_input(path.string() +
                    ": is not a checkpoint; name its folder, its weight file or its "
                    "*.safetensors.index.json");
  }
}

void check_shards_exist(const ShardIndex& index, const fs::path& folder, const fs::path& path) {
  std::vector<std::string> missing;
  for (const std::string& name : index.files) {
    if (!file_exists(folder / name)) missing.push_back((folder / name).string());
  }
  if (missing.empty()) return;
  if (missing.size() == 1) {
    throw_bad_input(missing.front() + ": is missing though " + path.filename().string() +
                    " names it; download the checkpoint again");
  }
  throw_bad_input(path.string() + ": " + std::to_string(missing.size()) + " of its " +
                  std::to_string(index.files.size()) +
                  " files are missing; download the checkpoint again:" + first_lines(missing));
}

TensorFile open_shards(const fs::path& path) {
  TensorFile result;
  result.path = path;
  result.folder = path.parent_path();
  const MappedFile text(path);
  check_is_index(text, path);
  const ShardIndex index = parse_shard_index(text.bytes(), path.string());
  std::map<std::string_view, std::string_view> expected;
  for (const auto& [tensor, file] : index.tensors) expected.emplace(tensor, file);
  check_shards_exist(index, result.folder, path);
  for (const std::string& name : index.files) {
    const fs::path shard = result.folder / name;
    result.files.emplace_back(shard);
    auto tensors = parse_tensors(result.files.back(), result);
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
  refuse_remote_name(given);
  std::error_code ignored;
  const bool is_folder = fs::is_directory(given, ignored);
  const fs::path path = is_folder ? find_in_folder(given) : given;
  if (path.extension() == ".json") return open_shards(path);
  TensorFile result;
  result.path = path;
  result.folder = path.parent_path();
  result.files.emplace_back(path);
  result.tensors = parse_tensors(result.files.back(), result);
  return result;
}

}  // namespace sam3trt
