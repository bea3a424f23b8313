# Debian packages are listed in cmake/packages.txt, PyPI packages in tools/requirements.txt.
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GIF REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc)
find_package(Protobuf REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
add_library(WebP::webp ALIAS PkgConfig::WEBP)
pkg_check_modules(TIFF REQUIRED IMPORTED_TARGET libtiff-4)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
set(sam3trt_decoders "")
set(sam3trt_missing_decoders "")
if(SAM3TRT_AVIF)
  pkg_check_modules(AVIF REQUIRED IMPORTED_TARGET libavif)
  list(APPEND sam3trt_decoders PkgConfig::AVIF)
else()
  list(APPEND sam3trt_missing_decoders avif)
endif()
if(SAM3TRT_HEIC)
  pkg_check_modules(HEIF REQUIRED IMPORTED_TARGET libheif)
  list(APPEND sam3trt_decoders PkgConfig::HEIF)
else()
  list(APPEND sam3trt_missing_decoders heic)
endif()

if(SAM3TRT_PYTHON)
  # What pyproject.toml asks for to build with: pip puts it where its Python finds it.
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module
               OPTIONAL_COMPONENTS Development.SABIModule)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import openvino, os; print(os.path.dirname(os.path.dirname(openvino.__file__)))"
    OUTPUT_VARIABLE SAM3TRT_SITE_PACKAGES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
else()
  file(GLOB SAM3TRT_SITE_PACKAGES "${SAM3TRT_VENV}/lib/python3*/site-packages")
endif()
if(NOT SAM3TRT_SITE_PACKAGES)
  message(FATAL_ERROR "no virtual environment at ${SAM3TRT_VENV}: run ${PROJECT_SOURCE_DIR}/tools/setup "
                      "first, or name another one with -DSAM3TRT_VENV=PATH")
endif()
if(SAM3TRT_PROGRAM)
  find_package(CLI11 REQUIRED)
  pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)
  add_library(sam3trt_archive INTERFACE)
  if(SAM3TRT_PYTHON)
    # The shared library needs ten others for formats that are not read; a wheel carries all it needs.
    find_library(SAM3TRT_ARCHIVE_STATIC libarchive.a REQUIRED)
    target_link_libraries(sam3trt_archive INTERFACE "${SAM3TRT_ARCHIVE_STATIC}" ZLIB::ZLIB)
  else()
    target_link_libraries(sam3trt_archive INTERFACE PkgConfig::ARCHIVE)
  endif()
endif()
if(SAM3TRT_PROGRAM AND (SAM3TRT_HUB OR SAM3TRT_SERVER))
  find_package(CURL REQUIRED)
endif()
if(SAM3TRT_PROGRAM AND SAM3TRT_SERVER)
  pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib>=0.11 cpp-httplib<0.16)
  pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core)
  find_package(pugixml REQUIRED)
endif()
if(SAM3TRT_PROGRAM AND SAM3TRT_CONFIG_FILES)
  find_package(yaml-cpp REQUIRED)
endif()
if(SAM3TRT_PROGRAM AND SAM3TRT_OVERLAY)
  pkg_check_modules(PANGO REQUIRED IMPORTED_TARGET pangocairo)
endif()

# The protobuf classes of ONNX, generated from the schema that PyPI's onnx ships: "lite" ones, which do
# not register themselves with libprotobuf, so that another part of a process may have the same.
set(onnx_generated "${PROJECT_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${onnx_generated}/onnx")
add_custom_command(
  OUTPUT "${onnx_generated}/onnx/onnx-ml.pb.cc" "${onnx_generated}/onnx/onnx-ml.pb.h"
  COMMAND protobuf::protoc "--proto_path=${SAM3TRT_SITE_PACKAGES}" "--cpp_out=lite:${onnx_generated}"
          onnx/onnx-ml.proto
  DEPENDS "${SAM3TRT_SITE_PACKAGES}/onnx/onnx-ml.proto"
  VERBATIM)
add_library(sam3trt_onnx_proto STATIC "${onnx_generated}/onnx/onnx-ml.pb.cc")
target_include_directories(sam3trt_onnx_proto SYSTEM PUBLIC "${onnx_generated}")
target_link_libraries(sam3trt_onnx_proto PUBLIC protobuf::libprotobuf-lite)
sam3trt_as_part(sam3trt_onnx_proto)
