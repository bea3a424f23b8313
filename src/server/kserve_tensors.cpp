#include "server/kserve_tensors.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/strict_json.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "binary tensors are little-endian");

constexpr size_t kMaxElements = size_t{1} << 20;

/// Null counts as missing.
const Json* find(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Json& object, const char* name, const std::string& where) {
  const Json* value = find(object, name);
  if (value == nullptr || !value->is_string()) {
    throw_bad_input(where + ": expected a text \"" + name + "\"");
  }
  return value->get<std::string>();
}

/// The object under "parameters"; an empty one where there is none.
Json parameters_of(const Json& object, const std::string& where) {
  const Json* value = find(object, "parameters");
  if (value == nullptr) return Json::object();
  if (!value->is_object()) throw_bad_input(where + ": expected an object of parameters");
  if (find(*value, "shared_memory_region") != nullptr) {
    throw_bad_input(where + ": there is no shared memory here; send the data with the request");
  }
  return *value;
}

bool flag_of(const Json& parameters, const char* name, bool fallback, const std::string& where) {
  const Json* value = find(parameters, name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) throw_bad_input(where + ": expected true or false for " + name);
  return value->get<bool>();
}

std::vector<int64_t> shape_of(const Json& tensor, const std::string& where, size_t& elements) {
  const Json* value = find(tensor, "shape");
  if (value == nullptr || !value->is_array() || value->size() > 8) {
    throw_bad_input(where + ": expected a list of at most 8 dimensions as \"shape\"");
  }
  std::vector<int64_t> shape;
  for (const Json& side : *value) {
    if (!side.is_number_integer() || side.get<int64_t>() < 0) {
      throw_bad_input(where + ": expected dimensions that are not negative as \"shape\"");
    }
    shape.push_back(side.get<int64_t>());
  }
  const auto count = checked_element_count(shape);
  if (!count || static_cast<uint64_t>(*count) > kMaxElements) {
    throw_bad_input(where + ": has more than " + std::to_string(kMaxElements) + " elements");
  }
  elements = static_cast<size_t>(*count);
  return shape;
}

/// Elements of data, which may be nested as its shape is.
void read_json_data(const Json& data, KserveTensor& tensor, const std::string& where) {
  if (data.is_array()) {
    for (const Json& part : data) read_json_data(part, tensor, where);
    return;
  }
  if (tensor.datatype == "BYTES") {
    if (!data.is_string()) throw_bad_input(where + ": expected texts as data of BYTES");
    tensor.texts.push_back(data.get<std::string>());
    return;
  }
  if (!data.is_number()) throw_bad_input(where + ": expected numbers as data");
  tensor.numbers.push_back(data.get<double>());
}

template <typename Number>
Number little_endian(std::string_view bytes, size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

void read_binary_data(std::string_view data, KserveTensor& tensor, const std::string& where) {
  if (tensor.datatype == "BYTES") {
    for (size_t at = 0; at < data.size();) {
      if (data.size() - at < sizeof(uint32_t)) throw_bad_input(where + ": its data is cut off");
      const auto length = little_endian<uint32_t>(data, at);
      at += sizeof(uint32_t);
      if (length > data.size() - at) throw_bad_input(where + ": its data is cut off");
      if (tensor.texts.size() == kMaxElements) throw_bad_input(where + ": has too many elements");
      tensor.texts.emplace_back(data.substr(at, length));
      at += length;
    }
    return;
  }
  if (data.size() % 4 != 0) throw_bad_input(where + ": its data is cut off");
  for (size_t at = 0; at < data.size(); at += 4) {
    if (tensor.datatype == "FP32") {
      tensor.numbers.push_back(little_endian<float>(data, at));
    } else {
      tensor.numbers.push_back(little_endian<int32_t>(data, at));
    }
  }
}

void check_numbers(const KserveTensor& tensor, const std::string& where) {
  for (const double value : tensor.numbers) {
    if (!std::isfinite(value)) throw_bad_input(where + ": has a number that is not finite");
    if (tensor.datatype == "INT32" &&
        (value != std::trunc(value) || value < std::numeric_limits<int32_t>::min() ||
         value > std::numeric_limits<int32_t>::max())) {
      throw_bad_input(where + ": expected integers of 32 bits");
    }
  }
}

void check_data(const KserveTensor& tensor, size_t elements, const std::string& where) {
  const size_t found = tensor.datatype == "BYTES" ? tensor.texts.size() : tensor.numbers.size();
  if (found != elements) {
    throw_bad_input(where + ": its shape has " + std::to_string(elements) + " elements, its data " +
                    std::to_string(found));
  }
  check_numbers(tensor, where);
}

/// Takes the tensor's binary data, if it has some, from the beginning of `rest`.
KserveTensor parse_input(const Json& input, size_t index, std::string_view& rest) {
  std::string where = "inputs[" + std::to_string(index) + "]";
  if (!input.is_object()) throw_bad_input(where + ": expected an object");
  KserveTensor tensor;
  tensor.name = text_of(input, "name", where);
  where = "input \"" + printable(tensor.name) + "\"";
  tensor.datatype = text_of(input, "datatype", where);
  if (tensor.datatype != "BYTES" && tensor.datatype != "FP32" && tensor.datatype != "INT32") {
    throw_bad_input(where + ": expected datatype BYTES, FP32 or INT32, found " +
                    printable(tensor.datatype));
  }
  size_t elements = 0;
  tensor.shape = shape_of(input, where, elements);
  const Json parameters = parameters_of(input, where);
  const Json* data = find(input, "data");
  if (const Json* size = find(parameters, "binary_data_size")) {
    if (data != nullptr) throw_bad_input(where + ": has \"data\" and binary data");
    if (!size->is_number_unsigned() || size->get<uint64_t>() > rest.size()) {
      throw_bad_input(where + ": its binary_data_size is " + printable(size->dump()) + ", but " +
                      std::to_string(rest.size()) +
                      " bytes are left; is the header "
                      "Inference-Header-Content-Length there?");
    }
    tensor.binary = true;
    read_binary_data(rest.substr(0, size->get<size_t>()), tensor, where);
    rest.remove_prefix(size->get<size_t>());
  } else {
    if (data == nullptr || !data->is_array()) throw_bad_input(where + ": expected a list \"data\"");
    read_json_data(*data, tensor, where);
  }
  check_data(tensor, elements, where);
  return tensor;
}

std::vector<KserveRequest::Output> parse_outputs(const Json& outputs, bool binary) {
  std::vector<KserveRequest::Output> asked;
  if (!outputs.is_array()) throw_bad_input("outputs: expected a list");
  for (const Json& output : outputs) {
    const std::string where = "outputs[" + std::to_string(asked.size()) + "]";
    if (!output.is_object()) throw_bad_input(where + ": expected an object");
    const Json parameters = parameters_of(output, where);
    if (find(parameters, "classification") != nullptr) {
      throw_bad_input(where + ": classifications are not made here");
    }
    asked.push_back(
        {text_of(output, "name", where), flag_of(parameters, "binary_data", binary, where)});
  }
  return asked;
}

Json json_of(const KserveTensor& tensor) {
  if (tensor.datatype == "BYTES") return tensor.texts;
  if (tensor.datatype == "FP32") return tensor.numbers;
  return std::vector<int32_t>(tensor.numbers.begin(), tensor.numbers.end());
}

}  // namespace

void read_kserve_data(std::string_view data, KserveTensor& tensor) {
  const std::string where = "input \"" + printable(tensor.name) + "\"";
  const auto elements = checked_element_count(tensor.shape);
  if (!elements || static_cast<uint64_t>(*elements) > kMaxElements) {
    throw_bad_input(where + ": has more than " + std::to_string(kMaxElements) + " elements");
  }
  tensor.binary = true;
  read_binary_data(data, tensor, where);
  check_data(tensor, static_cast<size_t>(*elements), where);
}

std::string kserve_data_of(const KserveTensor& tensor) {
  std::string data;
  const auto append = [&](const auto value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    data.append(bytes, sizeof(value));
  };
  for (const std::string& text : tensor.texts) {
    append(static_cast<uint32_t>(text.size()));
    data += text;
  }
  for (const double value : tensor.numbers) {
    if (tensor.datatype == "FP32") {
      append(static_cast<float>(value));
    } else if (tensor.datatype == "INT64") {
      append(static_cast<int64_t>(value));
    } else if (tensor.datatype == "BOOL") {
      append(static_cast<uint8_t>(value));
    } else {
      append(static_cast<int32_t>(value));
    }
  }
  return data;
}

KserveRequest parse_kserve_request(std::string_view body, const std::string& header_bytes) {
  size_t header = body.size();
  if (!header_bytes.empty()) {
    const char* end = header_bytes.data() + header_bytes.size();
    const auto parsed = std::from_chars(header_bytes.data(), end, header);
    if (parsed.ec != std::errc() || parsed.ptr != end || header > body.size()) {
      throw_bad_input("Inference-Header-Content-Length: expected a number of bytes up to " +
                      std::to_string(body.size()) + ", the size of the body, found " +
                      printable(header_bytes));
    }
  }
  std::string_view rest = body.substr(header);
  const Json json = parse_strict_json(std::as_bytes(std::span(body.data(), header)), "the request");
  if (!json.is_object()) throw_bad_input("the request: expected a JSON object");
  KserveRequest request;
  if (const Json* id = find(json, "id")) {
    if (!id->is_string()) throw_bad_input("id: expected a text");
    request.id = id->get<std::string>();
  }
  const Json* inputs = find(json, "inputs");
  if (inputs == nullptr || !inputs->is_array()) throw_bad_input("expected a list \"inputs\"");
  for (const Json& input : *inputs) {
    request.inputs.push_back(parse_input(input, request.inputs.size(), rest));
    for (size_t i = 0; i + 1 < request.inputs.size(); ++i) {
      if (request.inputs[i].name == request.inputs.back().name) {
        throw_bad_input("input \"" + printable(request.inputs[i].name) + "\" is there twice");
      }
    }
  }
  if (!rest.empty()) {
    throw_bad_input(std::to_string(rest.size()) + " bytes of binary data belong to no input");
  }
  request.binary_outputs =
      flag_of(parameters_of(json, "the request"), "binary_data_output", false, "the request");
  const Json* outputs = find(json, "outputs");
  if (outputs != nullptr && !outputs->empty()) {
    request.outputs = parse_outputs(*outputs, request.binary_outputs);
  }
  return request;
}

HttpResponse kserve_response(const std::string& model, const std::string& version,
                             const std::string& id, const std::vector<KserveTensor>& outputs) {
  Json document{{"model_name", model}, {"model_version", version}, {"outputs", Json::array()}};
  if (!id.empty()) document["id"] = id;
  std::string binary;
  bool any = false;
  for (const KserveTensor& tensor : outputs) {
    Json entry{{"name", tensor.name}, {"datatype", tensor.datatype}, {"shape", tensor.shape}};
    if (tensor.binary) {
      const std::string data = kserve_data_of(tensor);
      entry["parameters"] = {{"binary_data_size", data.size()}};
      binary += data;
      any = true;
    } else {
      entry["data"] = json_of(tensor);
    }
    document["outputs"].push_back(std::move(entry));
  }
  HttpResponse response;
  response.body = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (any) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length",
                                  std::to_string(response.body.size()));
    response.body += binary;
  }
  return response;
}

}  // namespace sam3trt
