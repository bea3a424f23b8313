#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.hpp"

namespace sam3trt {

// Tensors of the KServe v2 protocol over HTTP, as JSON and with Triton's binary extension: JSON of
// `Inference-Header-Content-Length` bytes, and behind it the data of all tensors that give a
// "binary_data_size". Binary data is little-endian; each element of BYTES has its length before
// it, in 4 bytes.

/// A tensor of FP32, INT32 or BYTES; as an output also of INT64 or BOOL.
struct KserveTensor {
  std::string name;
  std::string datatype;
  std::vector<int64_t> shape;
  std::vector<double> numbers{};     ///< Of all but BYTES.
  std::vector<std::string> texts{};  ///< Of BYTES.
  bool binary = false;               ///< It came, or goes, as binary data.
};

struct KserveRequest {
  /// An output that is asked for.
  struct Output {
    std::string name;
    bool binary = false;
  };

  std::string id;  ///< Empty where there is none.
  std::vector<KserveTensor> inputs;
  std::optional<std::vector<Output>> outputs{};  ///< None: all.
  bool binary_outputs = false;                   ///< For those that are not named.
};

/// `header_bytes` is Inference-Header-Content-Length, empty where there is none. Throws
/// Error(kBadInput) for what is not such a request: tensors whose data does not fit their shape,
/// other datatypes, data behind the last tensor, shared memory.
[[nodiscard]] KserveRequest parse_kserve_request(std::string_view body,
                                                 const std::string& header_bytes);

/// Fills in the elements out of binary data; name, datatype and shape are there. Throws
/// Error(kBadInput) for data that does not fit them.
void read_kserve_data(std::string_view data, KserveTensor& tensor);

/// The elements as binary data.
[[nodiscard]] std::string kserve_data_of(const KserveTensor& tensor);

/// {"model_name", "model_version", "id", "outputs"}, with the binary tensors behind it.
[[nodiscard]] HttpResponse kserve_response(const std::string& model, const std::string& version,
                                           const std::string& id,
                                           const std::vector<KserveTensor>& outputs);

}  // namespace sam3trt
