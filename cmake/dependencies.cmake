# Debian packages are listed in cmake/packages.txt, PyPI packages in tools/requirements.txt.
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CURL REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GIF REQUIRED)
find_package(TIFF REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc)
find_package(Protobuf REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
add_library(WebP::webp ALIAS PkgConfig::WEBP)
pkg_check_modules(AVIF REQUIRED IMPORTED_TARGET libavif)
pkg_check_modules(HEIF REQUIRED IMPORTED_TARGET libheif)
pkg_check_modules(PANGO REQUIRED IMPORTED_TARGET pangocairo)

file(GLOB SAM3TRT_SITE_PACKAGES "${SAM3TRT_VENV}/lib/python3*/site-packages")
if(NOT SAM3TRT_SITE_PACKAGES)
  message(FATAL_ERROR "no virtual environment at ${SAM3TRT_VENV}: run 'make setup' first")
endif()
find_package(OpenVINO REQUIRED COMPONENTS Runtime PATHS "${SAM3TRT_SITE_PACKAGES}/openvino/cmake"
             NO_DEFAULT_PATH)

# The protobuf classes of ONNX, generated from the schema that PyPI's onnx ships.
set(onnx_generated "${CMAKE_BINARY_DIR}/generated")
file(MAKE_DIRECTORY "${onnx_generated}/onnx")
add_custom_command(
  OUTPUT "${onnx_generated}/onnx/onnx-ml.pb.cc" "${onnx_generated}/onnx/onnx-ml.pb.h"
  COMMAND protobuf::protoc "--proto_path=${SAM3TRT_SITE_PACKAGES}" "--cpp_out=${onnx_generated}"
          onnx/onnx-ml.proto
  DEPENDS "${SAM3TRT_SITE_PACKAGES}/onnx/onnx-ml.proto"
  VERBATIM)
add_library(onnx_proto STATIC "${onnx_generated}/onnx/onnx-ml.pb.cc")
target_include_directories(onnx_proto SYSTEM PUBLIC "${onnx_generated}")
target_link_libraries(onnx_proto PUBLIC protobuf::libprotobuf)
