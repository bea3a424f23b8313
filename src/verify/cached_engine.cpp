#include "verify/cached_engine.hpp"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/atomic_file.hpp"
#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kExtension = ".tensors";
/// Bytes of the header's length, a number in decimal digits, padded with spaces.
constexpr size_t kLengthBytes = 20;

std::optional<DType> dtype_named(const std::string& name) {
  for (const DType dtype : {DType::kF32, DType::kI64, DType::kI32, DType::kBool}) {
    if (name == name_of(dtype)) return dtype;
  }
  return std::nullopt;
}

/// A tensor of the header; nothing when it does not fit `data`.
std::optional<Tensor> read_tensor(const Json& entry, std::span<const std::byte>& data) {
  const auto dtype = dtype_named(entry.at("dtype").get<std::string>());
  const auto shape = entry.at("shape").get<Shape>();
  const auto count = checked_element_count(shape);
  if (!dtype || !count) return std::nullopt;
  const auto bytes = checked_mul(static_cast<uint64_t>(*count), size_of(*dtype));
  if (!bytes || *bytes > data.size()) return std::nullopt;
  const auto own = data.first(static_cast<size_t>(*bytes));
  if (sha256_hex(own) != entry.at("sha256").get<std::string>()) return std::nullopt;
  Tensor tensor(*dtype, shape);
  std::ranges::copy(own, tensor.bytes().begin());
  data = data.subspan(own.size());
  return tensor;
}

/// Nothing when the file is missing or damaged.
std::optional<std::map<std::string, Tensor>> read_outputs(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  try {
    const MappedFile file(path);
    auto data = file.bytes();
    if (data.size() < kLengthBytes) return std::nullopt;
    const auto* text = reinterpret_cast<const char*>(data.data());
    const uint64_t length = std::stoull(std::string(text, kLengthBytes));
    if (length > data.size() - kLengthBytes) return std::nullopt;
    const Json header = Json::parse(std::string_view(text + kLengthBytes, length));
    data = data.subspan(kLengthBytes + static_cast<size_t>(length));
    std::map<std::string, Tensor> outputs;
    for (const Json& entry : header.at("tensors")) {
      auto tensor = read_tensor(entry, data);
      if (!tensor) return std::nullopt;
      outputs[entry.at("name").get<std::string>()] = std::move(*tensor);
    }
    return outputs;
  } catch (const std::exception&) {
    return std::nullopt;  // not a file of this form
  }
}

}  // namespace

std::string CachedEngine::key_of(const TensorMap& inputs) {
  if (identity_.empty()) identity_ = source_.identity();
  Json key = {{"format", 1}, {"identity", identity_}};
  for (const auto& [name, tensor] : inputs) {
    key["inputs"].push_back(
        {name, name_of(tensor->dtype()), tensor->shape(), sha256_hex(tensor->bytes())});
  }
  const std::string text = key.dump();
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::map<std::string, Tensor> CachedEngine::run(const TensorMap& inputs) {
  const fs::path path = folder_ / (key_of(inputs) + std::string(kExtension));
  if (auto outputs = read_outputs(path)) return std::move(*outputs);
  if (!engine_) engine_ = source_.load();
  auto outputs = engine_->run(inputs);
  try {
    store(path, outputs);
    prune();
  } catch (const std::exception& error) {
    log(LogLevel::kInfo, std::string("the reference was not kept: ") + error.what());
  }
  return outputs;
}

void CachedEngine::store(const fs::path& path, const std::map<std::string, Tensor>& outputs) const {
  fs::create_directories(folder_);
  Json header = {{"tensors", Json::array()}};
  for (const auto& [name, tensor] : outputs) {
    header["tensors"].push_back({{"name", name},
                                 {"dtype", name_of(tensor.dtype())},
                                 {"shape", tensor.shape()},
                                 {"sha256", sha256_hex(tensor.bytes())}});
  }
  const std::string text = header.dump();
  std::string length = std::to_string(text.size());
  length.resize(kLengthBytes, ' ');
  AtomicFile file(path);
  file.write(length);
  file.write(text);
  for (const auto& [name, tensor] : outputs) file.write(tensor.bytes());
  file.commit();
}

void CachedEngine::prune() const {
  struct Entry {
    fs::file_time_type time;
    uint64_t bytes;
    fs::path path;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!entry.is_regular_file() || entry.path().extension() != kExtension) continue;
    entries.push_back({entry.last_write_time(), entry.file_size(), entry.path()});
    total += entries.back().bytes;
  }
  std::ranges::sort(entries, {}, &Entry::time);
  for (const Entry& entry : entries) {
    if (total <= largest_bytes_) return;
    total -= entry.bytes;
    std::error_code ignored;
    fs::remove(entry.path, ignored);
  }
}

}  // namespace sam3trt
