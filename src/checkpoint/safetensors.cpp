#include "checkpoint/safetensors.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/strict_json.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation
constexpr size_t kMaxRank = 16;

struct DTypeName {
  const char* name;
  uint64_t bits;
  std::optional<DType> dtype;
};

// huggingface/safetensors, safetensors/src/tensor.rs, enum Dtype. Types narrower than a byte do not
// occur in models this project reads and are refused as unknown.
constexpr auto kDTypes = std::to_array<DTypeName>({
    {"F32", 32, DType::kF32},
    {"F16", 16, DType::kF16},
    {"BF16", 16, DType::kBF16},
    {"F64", 64, DType::kF64},
    {"I64", 64, DType::kI64},
    {"I32", 32, DType::kI32},
    {"I16", 16, DType::kI16},
    {"I8", 8, DType::kI8},
    {"U8", 8, DType::kU8},
    {"BOOL", 8, DType::kBool},
    {"C64", 64, DType::kC64},
    {"U64", 64, std::nullopt},
    {"U32", 32, std::nullopt},
    {"U16", 16, std::nullopt},
    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt},
    {"F8_E8M0", 8, std::nullopt},
    {"F8_E4M3FNUZ", 8, std::nullopt},
    {"F8_E5M2FNUZ", 8, std::nullopt},
});

struct Header {
  nlohmann::json json;
  std::span<const std::byte> data;
};

Header read_header(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < sizeof(uint64_t)) {
    throw_bad_input(where + ": is not a safetensors file: it has only " +
                    std::to_string(file.size()) + " bytes; download it again");
  }
  uint64_t size = 0;
  for (size_t i = 0; i < sizeof(size); ++i) size |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  if (size > kMaxHeaderBytes) {
    throw_bad_input(where + ": is not a safetensors file: its header would have " +
                    std::to_string(size) + " bytes, more than the format's limit of 100000000");
  }
  if (size > file.size() - sizeof(size)) {
    throw_bad_input(where + ": is cut short: its header has " + std::to_string(size) +
                    " bytes, the file " + std::to_string(file.size()) + "; download it again");
  }
  const auto text = file.subspan(sizeof(size), size);
  Header header{parse_strict_json(text, where + ": header"), file.subspan(sizeof(size) + size)};
  if (!header.json.is_object()) throw_bad_input(where + ": header is not a JSON object");
  return header;
}

[[noreturn]] void refuse_tensor(const std::string& where, const std::string& name,
                                const std::string& problem) {
  throw_bad_input(where + ": tensor \"" + printable(name) + "\": " + problem);
}

struct Placed {
  StoredTensor tensor;
  uint64_t begin = 0;
  uint64_t end = 0;
};

Shape read_shape(const nlohmann::json& entry, const std::string& where, const std::string& name) {
  const auto found = entry.find("shape");
  if (found == entry.end() || !found->is_array() || found->size() > kMaxRank) {
    refuse_tensor(where, name, "needs a \"shape\" of at most 16 dimensions");
  }
  Shape shape;
  for (const auto& dim : *found) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > INT64_MAX) {
      refuse_tensor(where, name, "has an impossible dimension " + printable(dim.dump()));
    }
    shape.push_back(dim.get<int64_t>());
  }
  return shape;
}

Placed read_entry(const std::string& name, const nlohmann::json& entry, const std::string& where) {
  if (!is_tensor_name(name)) refuse_tensor(where, name, "is not a usable name");
  if (!entry.is_object()) refuse_tensor(where, name, "is not described by a JSON object");
  Placed placed;
  placed.tensor.name = name;
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) refuse_tensor(where, name, "has no \"dtype\"");
  placed.tensor.dtype_name = printable(dtype->get_ref<const std::string&>());
  const auto* known = std::ranges::find_if(
      kDTypes, [&](const DTypeName& row) { return row.name == placed.tensor.dtype_name; });
  if (known == kDTypes.end()) {
    refuse_tensor(where, name, "has the unknown dtype " + placed.tensor.dtype_name);
  }
  placed.tensor.dtype = known->dtype;
  placed.tensor.shape = read_shape(entry, where, name);

  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 ||
      !(*offsets)[0].is_number_unsigned() || !(*offsets)[1].is_number_unsigned()) {
    refuse_tensor(where, name, "needs \"data_offsets\" [begin, end]");
  }
  placed.begin = (*offsets)[0].get<uint64_t>();
  placed.end = (*offsets)[1].get<uint64_t>();
  const auto count = checked_element_count(placed.tensor.shape);
  const auto size = count ? checked_mul(static_cast<uint64_t>(*count), known->bits / 8)
                          : std::optional<uint64_t>();
  if (!size || placed.end < placed.begin || placed.end - placed.begin != *size) {
    refuse_tensor(where, name,
                  "has dtype " + placed.tensor.dtype_name + " and shape " +
                      to_string(placed.tensor.shape) + ", which is not what its data_offsets [" +
                      std::to_string(placed.begin) + ", " + std::to_string(placed.end) + "] hold");
  }
  return placed;
}

}  // namespace

std::vector<StoredTensor> parse_safetensors(std::span<const std::byte> file,
                                            const std::string& where) {
  const Header header = read_header(file, where);
  std::vector<Placed> placed;
  for (const auto& [name, entry] : header.json.items()) {
    if (name == "__metadata__") continue;
    placed.push_back(read_entry(name, entry, where));
  }
  std::ranges::sort(placed, [](const Placed& a, const Placed& b) {
    return std::tie(a.begin, a.end, a.tensor.name) < std::tie(b.begin, b.end, b.tensor.name);
  });
  uint64_t position = 0;
  std::vector<StoredTensor> tensors;
  for (Placed& item : placed) {
    if (item.begin != position) {
      refuse_tensor(where, item.tensor.name,
                    "starts at byte " + std::to_string(item.begin) + " of the data, expected " +
                        std::to_string(position) +
                        ": tensors must neither overlap nor leave holes");
    }
    if (item.end > header.data.size()) {
      refuse_tensor(where, item.tensor.name,
                    "ends at byte " + std::to_string(item.end) + " of the data, which has only " +
                        std::to_string(header.data.size()) + "; download the file again");
    }
    item.tensor.bytes = header.data.subspan(item.begin, item.end - item.begin);
    item.tensor.element_bytes = item.end - item.begin;
    position = item.end;
    tensors.push_back(std::move(item.tensor));
  }
  if (position != header.data.size()) {
    throw_bad_input(where + ": has " + std::to_string(header.data.size() - position) +
                    " bytes after its last tensor");
  }
  return tensors;
}

ShardIndex parse_shard_index(std::span<const std::byte> text, const std::string& where) {
  const auto json = parse_strict_json(text, where);
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty()) {
    throw_bad_input(where + ": has no \"weight_map\"");
  }
  std::set<std::string> files;
  ShardIndex index;
  for (const auto& [name, file] : map->items()) {
    if (!is_tensor_name(name)) refuse_tensor(where, name, "is not a usable name");
    if (!file.is_string()) refuse_tensor(where, name, "names no file");
    const auto& shard = file.get_ref<const std::string&>();
    if (!is_tensor_name(shard) || shard == "." || shard == ".." ||
        shard.find_first_of("/\\") != std::string::npos) {
      refuse_tensor(where, name,
                    "is said to be in \"" + printable(shard) +
                        "\", expected the plain name of a file in the same folder");
    }
    files.insert(shard);
    index.tensors.emplace_back(name, shard);
  }
  index.files.assign(files.begin(), files.end());
  return index;
}

}  // namespace sam3trt
