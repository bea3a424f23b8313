#include "triton_request.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

uint64_t now_ns() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

/// Nobody can be told.
void ignore(TRITONSERVER_Error* error) noexcept {
  if (error == nullptr) return;
  TRITONSERVER_LogMessage(TRITONSERVER_LOG_ERROR, __FILE__, __LINE__,
                          TRITONSERVER_ErrorMessage(error));
  TRITONSERVER_ErrorDelete(error);
}

KserveTensor read_input(TRITONBACKEND_Input* input) {
  const char* name = nullptr;
  TRITONSERVER_DataType type = TRITONSERVER_TYPE_INVALID;
  const int64_t* shape = nullptr;
  uint32_t sides = 0;
  uint64_t bytes = 0;
  uint32_t buffers = 0;
  check_triton(
      TRITONBACKEND_InputProperties(input, &name, &type, &shape, &sides, &bytes, &buffers));
  KserveTensor tensor;
  tensor.name = name;
  tensor.datatype = TRITONSERVER_DataTypeString(type);
  tensor.shape.assign(shape, shape + sides);
  std::string data;
  data.reserve(bytes);
  for (uint32_t i = 0; i < buffers; ++i) {
    const void* buffer = nullptr;
    uint64_t size = 0;
    TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
    int64_t device = 0;
    check_triton(TRITONBACKEND_InputBuffer(input, i, &buffer, &size, &memory, &device));
    if (memory == TRITONSERVER_MEMORY_GPU) {
      throw_bad_input("input \"" + tensor.name +
                      "\": lies in a GPU's memory; send it from the host");
    }
    data.append(static_cast<const char*>(buffer), size);
  }
  read_kserve_data(data, tensor);
  return tensor;
}

void write_output(TRITONBACKEND_Response* response, const KserveTensor& tensor) {
  TRITONBACKEND_Output* output = nullptr;
  check_triton(TRITONBACKEND_ResponseOutput(response, &output, tensor.name.c_str(),
                                            TRITONSERVER_StringToDataType(tensor.datatype.c_str()),
                                            tensor.shape.data(),
                                            static_cast<uint32_t>(tensor.shape.size())));
  const std::string data = kserve_data_of(tensor);
  void* buffer = nullptr;
  TRITONSERVER_MemoryType memory = TRITONSERVER_MEMORY_CPU;
  int64_t device = 0;
  check_triton(TRITONBACKEND_OutputBuffer(output, &buffer, data.size(), &memory, &device));
  if (memory == TRITONSERVER_MEMORY_GPU) {
    throw_bad_input("output \"" + tensor.name +
                    "\": is wanted in a GPU's memory; take it on the host");
  }
  if (!data.empty()) std::memcpy(buffer, data.data(), data.size());
}

}  // namespace

void check_triton(TRITONSERVER_Error* error) {
  if (error == nullptr) return;
  const std::string message = TRITONSERVER_ErrorMessage(error);
  TRITONSERVER_ErrorDelete(error);
  throw Error(ErrorCode::kInternal, message);
}

TRITONSERVER_Error* to_triton_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const HttpError& problem) {
    const auto code = problem.status() < 500    ? TRITONSERVER_ERROR_INVALID_ARG
                      : problem.status() == 503 ? TRITONSERVER_ERROR_UNAVAILABLE
                                                : TRITONSERVER_ERROR_INTERNAL;
    return TRITONSERVER_ErrorNew(code, problem.what());
  } catch (const Error& problem) {
    const auto code = problem.code() == ErrorCode::kBadInput      ? TRITONSERVER_ERROR_INVALID_ARG
                      : problem.code() == ErrorCode::kUnavailable ? TRITONSERVER_ERROR_UNAVAILABLE
                                                                  : TRITONSERVER_ERROR_INTERNAL;
    return TRITONSERVER_ErrorNew(code, problem.what());
  } catch (const std::bad_alloc&) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNAVAILABLE, "out of memory");
  } catch (const std::exception& problem) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, problem.what());
  } catch (...) {
    return TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_UNKNOWN, "something unknown was thrown");
  }
}

TritonRequest::TritonRequest(TRITONBACKEND_Request* request, TRITONBACKEND_ModelInstance* instance)
    : request_(request), instance_(instance), begin_ns_(now_ns()) {
  ignore(TRITONBACKEND_RequestFlags(request_, &flags_));
}

TritonRequest::~TritonRequest() {
  if (!answered_) {
    send_error(TRITONSERVER_ErrorNew(TRITONSERVER_ERROR_INTERNAL, "the request was not answered"));
  }
  ignore(TRITONBACKEND_RequestRelease(request_, TRITONSERVER_REQUEST_RELEASE_ALL));
}

KserveRequest TritonRequest::read() const {
  KserveRequest request;
  uint32_t count = 0;
  check_triton(TRITONBACKEND_RequestInputCount(request_, &count));
  for (uint32_t i = 0; i < count; ++i) {
    TRITONBACKEND_Input* input = nullptr;
    check_triton(TRITONBACKEND_RequestInputByIndex(request_, i, &input));
    request.inputs.push_back(read_input(input));
  }
  check_triton(TRITONBACKEND_RequestOutputCount(request_, &count));
  request.outputs.emplace();
  for (uint32_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    check_triton(TRITONBACKEND_RequestOutputName(request_, i, &name));
    request.outputs->push_back({name, true});
  }
  return request;
}

std::string TritonRequest::sequence() const {
  const char* text = nullptr;
  if (TRITONSERVER_Error* error = TRITONBACKEND_RequestCorrelationIdString(request_, &text)) {
    TRITONSERVER_ErrorDelete(error);  // it is a number
    uint64_t number = 0;
    check_triton(TRITONBACKEND_RequestCorrelationId(request_, &number));
    return std::to_string(number);
  }
  return '"' + std::string(text) + '"';
}

void TritonRequest::send(std::span<const KserveTensor> outputs) noexcept {
  TRITONBACKEND_Response* response = nullptr;
  try {
    check_triton(TRITONBACKEND_ResponseNew(&response, request_));
    uint32_t count = 0;
    check_triton(TRITONBACKEND_RequestOutputCount(request_, &count));
    for (uint32_t i = 0; i < count; ++i) {
      const char* name = nullptr;
      check_triton(TRITONBACKEND_RequestOutputName(request_, i, &name));
      const auto found = std::ranges::find(outputs, std::string(name), &KserveTensor::name);
      if (found == outputs.end())
        throw_bad_input("there is no output \"" + std::string(name) + "\"");
      write_output(response, *found);
    }
  } catch (...) {
    if (response != nullptr) ignore(TRITONBACKEND_ResponseDelete(response));
    return fail(std::current_exception());
  }
  answered_ = true;
  ignore(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, nullptr));
  report(true);
}

void TritonRequest::fail(const std::exception_ptr& error) noexcept {
  send_error(to_triton_error(error));
}

void TritonRequest::send_error(TRITONSERVER_Error* error) noexcept {
  answered_ = true;
  TRITONBACKEND_Response* response = nullptr;
  ignore(TRITONBACKEND_ResponseNew(&response, request_));
  if (response != nullptr) {
    ignore(TRITONBACKEND_ResponseSend(response, TRITONSERVER_RESPONSE_COMPLETE_FINAL, error));
  }
  TRITONSERVER_ErrorDelete(error);
  report(false);
}

void TritonRequest::report(bool success) noexcept {
  const uint64_t now = now_ns();
  ignore(TRITONBACKEND_ModelInstanceReportStatistics(instance_, request_, success, begin_ns_,
                                                     begin_ns_, now, now));
}

}  // namespace sam3trt
