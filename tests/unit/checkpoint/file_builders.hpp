#pragma once

// Builders of checkpoint files for tests: safetensors, zip archives and pickled state dicts, byte
// by byte, so that a test can also write what no library would.

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/tensor.hpp"

namespace sam3trt::testing_files {

inline std::string little(uint64_t value, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += static_cast<char>(value & 0xFFU);
    value >>= 8U;
  }
  return text;
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// The message of the Error(kBadInput) that `call` throws, or what happened instead.
template <typename Call>
std::string error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const Error& error) {
    return error.code() == ErrorCode::kBadInput ? error.what()
                                                : "wrong code: " + std::string(error.what());
  }
  return "no error";
}

/// A folder that is empty at first and removed at the end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("sam3trt_" + name + "_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// One tensor to write.
struct FileTensor {
  std::string name;
  std::string dtype = "F32";  ///< As the format spells it.
  Shape shape;
  std::string bytes;
};

inline std::string safetensors_with_header(const std::string& header, const std::string& data) {
  return little(header.size(), 8) + header + data;
}

inline std::string build_safetensors(const std::vector<FileTensor>& tensors) {
  nlohmann::ordered_json header;
  header["__metadata__"] = {{"format", "pt"}};
  std::string data;
  for (const FileTensor& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return safetensors_with_header(header.dump(), data);
}

/// Writes zip archives; every field that a test wants to spoil can be set.
class ZipBuilder {
 public:
  struct Entry {
    std::string name;
    std::string bytes;
    uint64_t method = 0;
    uint64_t flags = 0;
    uint64_t claimed_size = UINT64_MAX;    ///< In the directory, instead of the real one.
    uint64_t claimed_offset = UINT64_MAX;  ///< The same for the local header's offset.
    std::string local_name = {};           ///< In the local header, instead of `name`.
  };

  ZipBuilder& add(Entry entry) {
    entries_.push_back(std::move(entry));
    return *this;
  }

  ZipBuilder& add(const std::string& name, const std::string& bytes) {
    return add(Entry{name, bytes});
  }

  [[nodiscard]] std::string build(bool zip64 = false) const {
    std::string file;
    std::string directory;
    for (const Entry& entry : entries_) {
      const uint64_t offset =
          entry.claimed_offset != UINT64_MAX ? entry.claimed_offset : file.size();
      const uint64_t size =
          entry.claimed_size != UINT64_MAX ? entry.claimed_size : entry.bytes.size();
      const std::string& local = entry.local_name.empty() ? entry.name : entry.local_name;
      file += little(0x04034B50, 4) + little(45, 2) + little(entry.flags, 2) +
              little(entry.method, 2) + little(0, 4) + little(0, 4) +
              little(entry.bytes.size(), 4) + little(entry.bytes.size(), 4) +
              little(local.size(), 2) + little(0, 2) + local + entry.bytes;
      const std::string extra = zip64 ? little(1, 2) + little(24, 2) + little(size, 8) +
                                            little(size, 8) + little(offset, 8)
                                      : "";
      directory += little(0x02014B50, 4) + little(45, 2) + little(45, 2) + little(entry.flags, 2) +
                   little(entry.method, 2) + little(0, 8) + little(zip64 ? 0xFFFFFFFF : size, 4) +
                   little(zip64 ? 0xFFFFFFFF : size, 4) + little(entry.name.size(), 2) +
                   little(extra.size(), 2) + little(0, 10) +
                   little(zip64 ? 0xFFFFFFFF : offset, 4) + entry.name + extra;
    }
    const uint64_t start = file.size();
    file += directory;
    const uint64_t end64 = file.size();
    if (zip64) {
      file += little(0x06064B50, 4) + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
              little(entries_.size(), 8) + little(entries_.size(), 8) +
              little(directory.size(), 8) + little(start, 8);
      file += little(0x07064B50, 4) + little(0, 4) + little(end64, 8) + little(1, 4);
    }
    file += little(0x06054B50, 4) + little(0, 4) + little(zip64 ? 0xFFFF : entries_.size(), 2) +
            little(zip64 ? 0xFFFF : entries_.size(), 2) +
            little(zip64 ? 0xFFFFFFFF : directory.size(), 4) +
            little(zip64 ? 0xFFFFFFFF : start, 4) + little(0, 2);
    return file;
  }

 private:
  std::vector<Entry> entries_;
};

// Pickle fragments, protocol 2.

inline std::string pickle_text(const std::string& text) {
  return "X" + little(text.size(), 4) + text;
}

inline std::string pickle_integer(int64_t value) {
  return std::string("\x8a\x08", 2) + little(static_cast<uint64_t>(value), 8);
}

inline std::string pickle_tuple(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += pickle_integer(value);
  return text + "t";
}

inline std::string pickle_storage(const std::string& type, const std::string& key, int64_t count) {
  return "(" + pickle_text("storage") + "ctorch\n" + type + "\n" + pickle_text(key) +
         pickle_text("cpu") + pickle_integer(count) + "tQ";
}

inline std::string pickle_tensor(const std::string& storage, int64_t offset, const Shape& shape,
                                 const std::vector<int64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + pickle_integer(offset) +
         pickle_tuple(shape) + pickle_tuple(strides) + "\x89" + "ccollections\nOrderedDict\n)RtR";
}

inline std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

/// A whole pickle: a dictionary of the given names and pickled values.
inline std::string pickle_dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string text = std::string("\x80\x02", 2) + "}(";
  for (const auto& [name, value] : items) text += pickle_text(name) + value;
  return text + "u.";
}

/// The zip file that torch.save would write for tensors of `dtype` "Float", "Half", "BFloat16" or
/// "ComplexFloat", each with a storage of its own.
inline std::string build_torch_zip(const std::vector<FileTensor>& tensors) {
  const std::map<std::string, size_t> sizes{{"Float", 4},        {"Half", 2}, {"BFloat16", 2},
                                            {"ComplexFloat", 8}, {"Long", 8}, {"Double", 8}};
  std::vector<std::pair<std::string, std::string>> items;
  ZipBuilder zip;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const FileTensor& tensor = tensors[i];
    const auto count = static_cast<int64_t>(tensor.bytes.size() / sizes.at(tensor.dtype));
    items.emplace_back(tensor.name, pickle_tensor(pickle_storage(tensor.dtype + "Storage",
                                                                 std::to_string(i), count),
                                                  0, tensor.shape, dense_strides(tensor.shape)));
    zip.add("archive/data/" + std::to_string(i), tensor.bytes);
  }
  return zip.add("archive/data.pkl", pickle_dict(items))
      .add("archive/byteorder", "little")
      .add("archive/version", "3\n")
      .build();
}

}  // namespace sam3trt::testing_files
