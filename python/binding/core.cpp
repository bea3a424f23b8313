#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <exception>

#include "base/error.hpp"
#include "messages.hpp"
#include "parts.hpp"
#include "sam3trt/version.hpp"

namespace sam3trt::python {
namespace {

const char* exception_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput:
      return "BadInputError";
    case ErrorCode::kUnavailable:
      return "UnavailableError";
    case ErrorCode::kVerificationFailed:
      return "VerificationError";
    case ErrorCode::kInternal:
      break;
  }
  return "Error";
}

void translate(const std::exception_ptr& pointer, void* /*unused*/) {
  try {
    std::rethrow_exception(pointer);
  } catch (const Error& error) {
    const nb::object exception = make_exception(error.code(), error.what());
    PyErr_SetObject(exception.type().ptr(), exception.ptr());
  }
}

}  // namespace

nb::object make_exception(ErrorCode code, const std::string& message) {
  return nb::module_::import_("sam3trt.errors").attr(exception_name(code))(message);
}

}  // namespace sam3trt::python

NB_MODULE(_core, module) {
  using namespace sam3trt::python;
  module.doc() = "What sam3trt needs of its C++ library; use the package sam3trt.";
  module.def("version", [] { return SAM3TRT_VERSION; });
  nb::register_exception_translator(translate);
  collect_messages();
  add_images(module);
  add_segmenter(module);
  add_objects(module);
  add_video(module);
  add_frames(module);
  add_masks(module);
  add_tools(module);
}
