#include "onnx/model_file.hpp"

#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace sam3trt {
namespace {

constexpr uint64_t kExternalMinimumBytes = 1024;
constexpr uint64_t kExternalAlignment = 4096;

void add_entry(onnx::TensorProto* tensor, const std::string& key, const std::string& value) {
  auto* entry = tensor->add_external_data();
  entry->set_key(key);
  entry->set_value(value);
}

/// Where a tensor's data lies in a data file.
struct Location {
  std::filesystem::path file;
  uint64_t offset = 0;
  uint64_t length = 0;
};

Location location_of(const onnx::TensorProto& tensor, const std::filesystem::path& model_path,
                     uint64_t expected_bytes, const std::string& where) {
  std::map<std::string, std::string> entries;
  for (const auto& entry : tensor.external_data()) entries[entry.key()] = entry.value();
  const auto number = [&](const std::string& key, uint64_t otherwise) {
    const auto found = entries.find(key);
    if (found == entries.end()) return otherwise;
    uint64_t value = 0;
    const char* end = found->second.data() + found->second.size();
    const auto result = std::from_chars(found->second.data(), end, value);
    if (result.ec != std::errc() || result.ptr != end) {
      throw_bad_input(where + ": '" + found->second + "' is not a valid " + key +
                      " in a data file");
    }
    return value;
  };
  const std::filesystem::path name = entries["location"];
  if (name.empty() || name != name.filename() || name == ".." || name == ".") {
    throw_bad_input(where + ": its data file '" + name.string() +
                    "' does not lie beside the model; export the graph again");
  }
  return {model_path.parent_path() / name, number("offset", 0), number("length", expected_bytes)};
}

}  // namespace

onnx::ModelProto read_model(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    throw_bad_input(path.string() + ": larger than 2 GiB, so not an ONNX model");
  }
  onnx::ModelProto model;
  if (bytes.empty() || !model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !model.has_graph() || model.opset_import_size() == 0) {
    throw_bad_input(path.string() + ": not an ONNX model, or damaged; export it again");
  }
  return model;
}

std::string metadata_value(const onnx::ModelProto& model, const std::string& key) {
  for (const auto& entry : model.metadata_props()) {
    if (entry.key() == key) return entry.value();
  }
  return {};
}

void set_metadata_value(onnx::ModelProto& model, const std::string& key, const std::string& value) {
  for (auto& entry : *model.mutable_metadata_props()) {
    if (entry.key() == key) return entry.set_value(value);
  }
  auto* entry = model.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

std::vector<float> read_f32(const onnx::TensorProto& tensor,
                            const std::filesystem::path& model_path) {
  const std::string where = model_path.string() + ": tensor '" + tensor.name() + "'";
  const auto count =
      checked_element_count({tensor.dims().data(), static_cast<size_t>(tensor.dims_size())});
  const auto bytes =
      count ? checked_mul(static_cast<uint64_t>(*count), sizeof(float)) : std::nullopt;
  if (tensor.data_type() != onnx::TensorProto::FLOAT || !bytes) {
    throw_bad_input(where + ": expected a float32 tensor; export the graph again");
  }
  const auto check_size = [&](uint64_t found) {
    if (found == *bytes) return;
    throw_bad_input(where + ": expected " + std::to_string(*bytes) + " bytes of data, found " +
                    std::to_string(found) + "; export the graph again");
  };
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL) {
    check_size(tensor.raw_data().size());
    std::vector<float> values(static_cast<size_t>(*count));
    if (!values.empty()) std::memcpy(values.data(), tensor.raw_data().data(), *bytes);
    return values;
  }
  const Location location = location_of(tensor, model_path, *bytes, where);
  check_size(location.length);
  std::error_code error;
  const uint64_t file_size = std::filesystem::file_size(location.file, error);
  const auto end = checked_add(location.offset, location.length);
  if (error || !end || *end > file_size) {
    throw_bad_input(where + ": its data lies beyond the end of " + location.file.string() +
                    ", or that file is missing; export the graph again");
  }
  std::vector<float> values(static_cast<size_t>(*count));
  std::ifstream file(location.file, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(location.offset));
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(*bytes));
  if (!file) throw_bad_input(where + ": " + location.file.string() + " cannot be read");
  return values;
}

ModelWriter::ModelWriter(AtomicFiles& files, std::filesystem::path path, bool external)
    : files_(files), path_(std::move(path)), data_path_(path_.string() + ".data") {
  if (!external) return;
  files_.remove_first(path_);
  data_ = &files_.add(data_path_);
}

void ModelWriter::set_data(onnx::TensorProto* tensor, std::span<const std::byte> bytes) {
  if (data_ == nullptr || bytes.size() < kExternalMinimumBytes) {
    tensor->set_raw_data(bytes.data(), bytes.size());
    return;
  }
  static const std::vector<std::byte> kPadding(kExternalAlignment);
  const uint64_t rest = data_->size() % kExternalAlignment;
  if (rest != 0) data_->write(std::span(kPadding).first(kExternalAlignment - rest));
  tensor->set_data_location(onnx::TensorProto::EXTERNAL);
  add_entry(tensor, "location", data_path_.filename().string());
  add_entry(tensor, "offset", std::to_string(data_->size()));
  add_entry(tensor, "length", std::to_string(bytes.size()));
  data_->write(bytes);
}

void ModelWriter::finish(const onnx::ModelProto& model) {
  std::string bytes;
  if (!model.SerializeToString(&bytes)) {
    throw Error(ErrorCode::kInternal, path_.string() + ": the graph could not be serialised");
  }
  files_.add(path_).write(bytes);
  if (data_ == nullptr) files_.remove_last(data_path_);
}

}  // namespace sam3trt
