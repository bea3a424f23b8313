#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sam3trt/model.hpp"
#include "triton_request.hpp"

namespace sam3trt {

/// An instance of a model in Triton: answers requests, later and on threads of its own.
class Answerer {
 public:
  Answerer() = default;
  virtual ~Answerer() = default;
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;

  /// May block while too much is waiting; Triton's queue keeps the rest.
  virtual void take(std::shared_ptr<TritonRequest> request) = 0;
};

/// The model `sam3`: what src/server makes of KServe requests, with its batches and its cache of
/// features.
[[nodiscard]] std::unique_ptr<Answerer> answer_images(const Model& model);

/// The model `sam3_video`: a session for each sequence; `idle_seconds` after its last frame it is
/// forgotten.
[[nodiscard]] std::unique_ptr<Answerer> answer_sequences(const Model& model, double idle_seconds);

/// The bytes of an image's file in the input `image`, which in JSON are base64.
[[nodiscard]] std::string file_bytes_of(const std::string& given);

}  // namespace sam3trt
