# Every option of the build, one sentence each.
option(SAM3TRT_TESTS "Build the tests." ON)
option(SAM3TRT_WERROR "Treat warnings as errors." OFF)
option(SAM3TRT_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer." OFF)
option(SAM3TRT_FUZZ "Build the fuzz targets with libFuzzer (needs clang)." OFF)
set(SAM3TRT_VENV
    "${CMAKE_SOURCE_DIR}/.venv"
    CACHE PATH "Virtual environment that holds the PyPI packages openvino and onnx.")

set(SAM3TRT_TENSORRT_INCLUDE
    "$ENV{SAM3TRT_TENSORRT_INCLUDE}"
    CACHE PATH "Folder of NvInfer.h of an installed TensorRT; empty: where packages install it.")

# NVIDIA's headers for TensorRT 10, 11 and RTX, one folder each (tools/tensorrt_headers).
if(DEFINED ENV{XDG_CACHE_HOME})
  set(sam3trt_cache "$ENV{XDG_CACHE_HOME}/sam3trt")
else()
  set(sam3trt_cache "$ENV{HOME}/.cache/sam3trt")
endif()
set(SAM3TRT_TENSORRT_HEADERS
    "${sam3trt_cache}/tensorrt-headers"
    CACHE PATH "Folder that holds the folders 10, 11, rtx and cuda of headers.")
