# make deb: sam3trt (the program), libsam3trt0 (the library and OpenVINO's, in a folder of their own)
# and libsam3trt-dev, for the distribution that they are built on. What they depend on is found by
# dpkg-shlibdeps.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR sam3trt)
set(CPACK_PACKAGE_CONTACT "sam3trt <sam3trt@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${sam3trt_openvino_folder}")

set(library "libsam3trt${PROJECT_VERSION_MAJOR}")
set(same_version "${library} (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME sam3trt)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "${same_version}, ca-certificates")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS ffmpeg)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "SAM 3 segmentation: checkpoints to verified TensorRT engines
 Exports SAM 3 checkpoints as ONNX graphs, builds and verifies TensorRT engines
 and segments what text prompts and example boxes match in images.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${library})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
configure_file(cmake/debian/shlibs.in generated/debian/shlibs @ONLY)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA
    "${PROJECT_SOURCE_DIR}/cmake/debian/triggers"
    "${CMAKE_CURRENT_BINARY_DIR}/generated/debian/shlibs")
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
    "SAM 3 segmentation: shared library
 Runs SAM 3 on NVIDIA GPUs with TensorRT engines, or on the CPU with OpenVINO,
 whose libraries are included.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libsam3trt-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${same_version}")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "SAM 3 segmentation: headers
 Headers, CMake package and pkg-config file of libsam3trt.")

foreach(package sam3trt ${library} libsam3trt-dev)
  set(component development)
  if(package STREQUAL "sam3trt")
    set(component program)
  elseif(package STREQUAL "${library}")
    set(component library)
  endif()
  install(
    FILES "${PROJECT_SOURCE_DIR}/cmake/debian/copyright"
    DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}"
    COMPONENT ${component})
endforeach()
if(SAM3TRT_OPENVINO)
  # The licences of OpenVINO and of what it contains.
  file(GLOB licences "${SAM3TRT_SITE_PACKAGES}/openvino-*.dist-info/licenses")
  install(
    DIRECTORY "${licences}/"
    DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${library}/openvino"
    COMPONENT library)
endif()
include(CPack)
