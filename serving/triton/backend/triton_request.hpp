#pragma once

#include <triton/core/tritonbackend.h>

#include <exception>
#include <span>
#include <string>

#include "server/kserve_tensors.hpp"

namespace sam3trt {

/// Throws Error(kInternal) with what Triton says; null is success.
void check_triton(TRITONSERVER_Error* error);

/// What an exception is for Triton's clients: INVALID_ARG for what they did, UNAVAILABLE for what
/// they have to wait for, else INTERNAL. The caller owns it.
[[nodiscard]] TRITONSERVER_Error* to_triton_error(const std::exception_ptr& error);

/// A request that Triton handed over, answered once, at any time, from any thread.
class TritonRequest {
 public:
  TritonRequest(TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance);
  /// Releases it; one that was not answered gets an internal error.
  ~TritonRequest();
  TritonRequest(const TritonRequest&) = delete;
  TritonRequest& operator=(const TritonRequest&) = delete;

  /// Its inputs and the outputs that are asked for. Throws Error(kBadInput) for data that does not
  /// fit its shape.
  [[nodiscard]] KserveRequest read() const;

  /// Of a sequence: its id, whichever kind of id it is, and whether this is its first or last one.
  [[nodiscard]] std::string sequence() const;
  [[nodiscard]] bool starts() const {
    return (flags_ & TRITONSERVER_REQUEST_FLAG_SEQUENCE_START) != 0;
  }
  [[nodiscard]] bool ends() const { return (flags_ & TRITONSERVER_REQUEST_FLAG_SEQUENCE_END) != 0; }

  /// Answers with those of the outputs that are asked for.
  void send(std::span<const KserveTensor> outputs) noexcept;
  void fail(const std::exception_ptr& error) noexcept;

 private:
  void send_error(TRITONSERVER_Error* error) noexcept;
  void report(bool success) noexcept;

  TRITONBACKEND_Request* request_;
  TRITONBACKEND_ModelInstance* instance_;
  uint32_t flags_ = 0;
  uint64_t begin_ns_;
  bool answered_ = false;
};

}  // namespace sam3trt
