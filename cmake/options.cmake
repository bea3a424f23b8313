# Every option of the build, one sentence each.
option(SAM3TRT_TESTS "Build the tests." ON)
option(SAM3TRT_WERROR "Treat warnings as errors." OFF)
option(SAM3TRT_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer." OFF)
option(SAM3TRT_FUZZ "Build the fuzz targets with libFuzzer (needs clang)." OFF)
set(SAM3TRT_VENV
    "${CMAKE_SOURCE_DIR}/.venv"
    CACHE PATH "Virtual environment that holds the PyPI packages openvino and onnx.")
