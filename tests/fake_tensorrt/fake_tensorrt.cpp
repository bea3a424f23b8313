// A library that looks like TensorRT and like its ONNX parser: its version is what the file
// THIS_FILE.version beside it says. Everything else that is called ends the process, so that a test
// shows that nothing was called.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

namespace {

const char kAnchor = 0;

[[noreturn]] void refuse(const char* function) {
  std::fprintf(stderr, "fake TensorRT: %s was called\n", function);
  std::abort();
}

}  // namespace

extern "C" {

int32_t getInferLibVersion() {
  Dl_info info{};
  if (::dladdr(&kAnchor, &info) == 0) return 0;
  std::ifstream file(std::string(info.dli_fname) + ".version");
  int32_t version = 0;
  file >> version;
  return version;
}

void* createInferBuilder_INTERNAL(void*, int32_t) { refuse("createInferBuilder_INTERNAL"); }
void* createInferRuntime_INTERNAL(void*, int32_t) { refuse("createInferRuntime_INTERNAL"); }
void* createNvOnnxParser_INTERNAL(void*, void*, int32_t) { refuse("createNvOnnxParser_INTERNAL"); }
void* getPluginRegistry() { refuse("getPluginRegistry"); }

}  // extern "C"
