#include "checkpoint/torch_file.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/pickle.hpp"
#include "checkpoint/zip_archive.hpp"

namespace sam3trt {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";

/// Folder of the archive that holds data.pkl; torch names it after the file it first wrote.
std::string find_root(std::span<const ZipEntry> entries, const std::string& where) {
  std::optional<std::string> root;
  for (const ZipEntry& entry : entries) {
    if (!entry.name.ends_with(kPickleName)) continue;
    if (root) throw_bad_input(where + ": holds more than one data.pkl");
    root = entry.name.substr(0, entry.name.size() - kPickleName.size());
  }
  if (!root) {
    throw_bad_input(where + ": is a zip file without data.pkl, expected one that torch.save wrote");
  }
  return *root;
}

/// Zip files that other programs, or torch for other purposes, wrote.
void refuse_other_archives(std::span<const std::string_view> names, const std::string& where) {
  const auto any = [&](auto test) { return std::ranges::any_of(names, test); };
  if (any([](std::string_view name) {
        return name.ends_with("/constants.pkl") || name.find("/code/__torch__") != name.npos;
      })) {
    throw_bad_input(where +
                    ": is a TorchScript archive (torch.jit.save), a program with its weights; save "
                    "the state dict of the model it was made from, or of the archive itself: "
                    "torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)");
  }
  if (any([](std::string_view name) {
        return name.ends_with("/archive_format") || name.ends_with("models/model.json") ||
               name.ends_with("serialized_exported_program.json");
      })) {
    throw_bad_input(where +
                    ": is a program of torch.export (.pt2); save the state dict of the model it "
                    "was made from: torch.save(model.state_dict(), FILE)");
  }
  if (any([](std::string_view name) { return name.ends_with("/data.pkl"); })) return;
  if (any([](std::string_view name) { return name.ends_with(".npy"); })) {
    throw_bad_input(where +
                    ": is a NumPy archive (.npz), expected a safetensors file or one that "
                    "torch.save wrote");
  }
  for (const std::string_view name : names) {
    if (!name.ends_with(".safetensors") && !name.ends_with(".pt") && !name.ends_with(".pth")) {
      continue;
    }
    throw_bad_input(where + ": is a zip file that holds " + printable(name) + "; unpack it first");
  }
}

void check_byte_order(std::span<const ZipEntry> entries, const std::string& root,
                      const std::string& where) {
  const ZipEntry* order = find_entry(entries, root + "/byteorder");
  if (order == nullptr) return;  // written only since torch 2.1; earlier files are little-endian
  const std::string_view text(reinterpret_cast<const char*>(order->bytes.data()),
                              order->bytes.size());
  if (text == "little") return;
  throw_bad_input(where + ": has byte order \"" + printable(text) + "\", expected \"little\"");
}

/// Distance from a tensor's first element to the one after its last, in elements; nothing when it
/// does not fit into 64 bits. The tensor has at least one element.
std::optional<uint64_t> extent_of(const PickledTensor& tensor) {
  std::optional<uint64_t> extent = 1;
  for (size_t i = 0; i < tensor.shape.size() && extent; ++i) {
    const auto step = checked_mul(static_cast<uint64_t>(tensor.shape[i] - 1),
                                  static_cast<uint64_t>(tensor.strides[i]));
    extent = step ? checked_add(*extent, *step) : std::nullopt;
  }
  return extent;
}

bool is_dense(const PickledTensor& tensor) {
  int64_t expected = 1;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

[[noreturn]] void refuse(const std::string& where, const std::string& name,
                         const std::string& problem) {
  throw_bad_input(where + ": tensor \"" + name + "\": " + problem);
}

StoredTensor place(const PickledTensor& tensor, std::span<const ZipEntry> entries,
                   const std::string& root, const std::string& where) {
  const ZipEntry* storage = find_entry(entries, root + "/data/" + tensor.storage_key);
  if (storage == nullptr)
    refuse(where, tensor.name, "its storage \"" + tensor.storage_key + "\" is not in the file");
  if (storage->bytes.size() != tensor.storage_bytes) {
    refuse(where, tensor.name,
           "its storage should have " + std::to_string(tensor.storage_bytes) + " bytes, found " +
               std::to_string(storage->bytes.size()));
  }
  StoredTensor result{tensor.name, tensor.dtype_name, tensor.dtype, tensor.shape, 0, {}, {}};
  const auto count = checked_element_count(tensor.shape);
  const auto all = count ? checked_mul(static_cast<uint64_t>(*count), tensor.item_size)
                         : std::optional<uint64_t>();
  if (!all) refuse(where, tensor.name, "has the impossible shape " + to_string(tensor.shape));
  result.element_bytes = *all;
  if (*count == 0) return result;
  const auto extent = extent_of(tensor);
  const auto begin = checked_mul(static_cast<uint64_t>(tensor.offset), tensor.item_size);
  const auto size = extent ? checked_mul(*extent, tensor.item_size) : std::nullopt;
  const auto end = begin && size ? checked_add(*begin, *size) : std::nullopt;
  if (!end || *end > storage->bytes.size()) {
    refuse(where, tensor.name,
           "shape " + to_string(tensor.shape) + ", strides " + to_string(tensor.strides) +
               " and offset " + std::to_string(tensor.offset) + " reach beyond its storage of " +
               std::to_string(storage->bytes.size()) + " bytes");
  }
  result.bytes = storage->bytes.subspan(*begin, *size);
  if (!is_dense(tensor)) result.strides = tensor.strides;
  return result;
}

}  // namespace

std::vector<StoredTensor> parse_torch_file(std::span<const std::byte> file,
                                           const std::string& where,
                                           std::vector<std::string>* notes) {
  // Before the entries are looked at: other programs' archives may be compressed.
  refuse_other_archives(list_zip_names(file, where), where);
  const std::vector<ZipEntry> entries = parse_zip(file, where);
  const std::string root = find_root(entries, where);
  check_byte_order(entries, root, where);
  const ZipEntry* pickle = find_entry(entries, root + std::string(kPickleName));
  std::vector<StoredTensor> tensors;
  for (const PickledTensor& tensor :
       unpickle_state_dict(pickle->bytes, where + ": data.pkl", notes)) {
    tensors.push_back(place(tensor, entries, root, where));
  }
  return tensors;
}

std::vector<std::byte> make_dense(const StoredTensor& tensor, const std::string& where) {
  const auto count = static_cast<uint64_t>(element_count(tensor.shape));
  const size_t item = size_of(*tensor.dtype);
  if (count > tensor.bytes.size() / item) {
    throw_bad_input(where + ": tensor \"" + tensor.name + "\": is expanded to shape " +
                    to_string(tensor.shape) +
                    ", more elements than its storage has; save it after "
                    ".contiguous()");
  }
  std::vector<std::byte> dense(count * item);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  uint64_t source = 0;
  for (uint64_t i = 0; i < count; ++i) {
    std::memcpy(dense.data() + i * item, tensor.bytes.data() + source * item, item);
    for (size_t axis = index.size(); axis-- > 0;) {
      source += static_cast<uint64_t>(tensor.strides[axis]);
      if (++index[axis] < tensor.shape[axis]) break;
      source -= static_cast<uint64_t>(tensor.strides[axis] * tensor.shape[axis]);
      index[axis] = 0;
    }
  }
  return dense;
}

}  // namespace sam3trt
