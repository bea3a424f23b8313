// Stands in for flavour.cpp where the build found no headers of that flavour.
#include "base/error.hpp"
#include "trt/library.hpp"

namespace sam3trt {
namespace {

[[noreturn]] void fail(TensorRtFlavour flavour) {
  throw Error(ErrorCode::kUnavailable, "this sam3trt was built without the headers of " +
                                           std::string(name_of(flavour)) +
                                           "; run tools/tensorrt_headers and build it again");
}

}  // namespace

#if SAM3TRT_FLAVOUR == 10
std::shared_ptr<TensorRtApi> make_tensorrt10(TensorRtEntryPoints /*entry_points*/) {
  fail(TensorRtFlavour::kTensorRt10);
}
#elif SAM3TRT_FLAVOUR == 11
std::shared_ptr<TensorRtApi> make_tensorrt11(TensorRtEntryPoints /*entry_points*/) {
  fail(TensorRtFlavour::kTensorRt11);
}
#else
std::shared_ptr<TensorRtApi> make_tensorrt_rtx(TensorRtEntryPoints /*entry_points*/) {
  fail(TensorRtFlavour::kTensorRtRtx);
}
#endif

}  // namespace sam3trt
