# Every option of the build, one sentence each. In another project's build only the library is made.
option(SAM3TRT_PROGRAM "Build the program sam3trt, which alone needs libcurl, CLI11, Pango and yaml-cpp." ${PROJECT_IS_TOP_LEVEL})
option(SAM3TRT_TESTS "Build the tests (they need the program)." ${PROJECT_IS_TOP_LEVEL})
option(SAM3TRT_EXAMPLES "Build the examples." ${PROJECT_IS_TOP_LEVEL})
option(SAM3TRT_INSTALL "Make targets for installing and packaging." ${PROJECT_IS_TOP_LEVEL})
option(SAM3TRT_OPENVINO
       "Run graphs on the CPU with OpenVINO; without it, engines run but cannot be verified." ON)
option(SAM3TRT_PYTHON "Build the Python package; pip does (pyproject.toml)." OFF)
option(SAM3TRT_HUB "Let the program download checkpoints; needs libcurl." ON)
option(SAM3TRT_CONFIG_FILES "Let the program read --config FILE; needs yaml-cpp." ON)
option(SAM3TRT_OVERLAY "Let the program draw overlays; needs Pango and Cairo." ON)
option(SAM3TRT_SERVER "Let the program serve; needs cpp-httplib and prometheus-cpp." ON)
option(SAM3TRT_TRITON_BACKEND
       "Build the backend of Triton Inference Server; needs SAM3TRT_SERVER, and cargo for its headers." OFF)
option(SAM3TRT_AVIF "Read AVIF images; needs libavif." ON)
option(SAM3TRT_HEIC "Read HEIC images; needs libheif." ON)
option(SAM3TRT_WERROR "Treat warnings as errors." OFF)
option(SAM3TRT_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer." OFF)
option(SAM3TRT_SANITIZE_THREADS "Build with ThreadSanitizer." OFF)
option(SAM3TRT_FUZZ "Build the fuzz targets with libFuzzer (needs clang)." OFF)
set(SAM3TRT_VENV
    "${PROJECT_SOURCE_DIR}/.venv"
    CACHE PATH "Virtual environment that holds the PyPI packages openvino, onnx and nvidia-*.")
set(SAM3TRT_FATBINS
    ""
    CACHE PATH "Folder generated/cuda of another build of the same sources, in place of nvcc.")

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
