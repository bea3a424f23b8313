# The CPU backend: sam3trt::openvino runs graphs in OpenVINO, or with SAM3TRT_OPENVINO=OFF says that
# it was built without. Headers and libraries are those of PyPI's openvino; the libraries that it
# needs at run time get a folder of their own in the build (hard links, or copies), and
# cmake/install.cmake puts the same files beside what is installed: .venv serves the build only.
if(NOT SAM3TRT_OPENVINO)
  sam3trt_add_library(openvino SOURCES openvino/missing DEPENDS base)
  return()
endif()

set(openvino "${SAM3TRT_SITE_PACKAGES}/openvino")
file(GLOB openvino_library "${openvino}/libs/libopenvino.so.*")
list(LENGTH openvino_library found)
if(NOT found EQUAL 1)
  message(FATAL_ERROR "expected one libopenvino.so.* in ${openvino}/libs, found ${found}: run "
                      "'make setup', or build without it: -DSAM3TRT_OPENVINO=OFF")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${openvino_library}")
# oneTBB opens its allocator and its view of the processor (tbbbind, hwloc) when it finds them.
file(
  GLOB
  sam3trt_openvino_files
  "${openvino_library}"
  "${openvino}/libs/libopenvino_intel_cpu_plugin.so"
  "${openvino}/libs/libopenvino_onnx_frontend.so.*"
  "${openvino}/libs/libtbb.so.*"
  "${openvino}/libs/libtbbmalloc.so.*"
  "${openvino}/libs/libtbbbind_2_5.so.*"
  "${openvino}/libs/libhwloc.so.*")
set(sam3trt_openvino_folder "${PROJECT_BINARY_DIR}/lib/sam3trt")
file(REMOVE_RECURSE "${sam3trt_openvino_folder}")
file(MAKE_DIRECTORY "${sam3trt_openvino_folder}")
foreach(file IN LISTS sam3trt_openvino_files)
  get_filename_component(name "${file}" NAME)
  file(CREATE_LINK "${file}" "${sam3trt_openvino_folder}/${name}" COPY_ON_ERROR)
endforeach()

get_filename_component(name "${openvino_library}" NAME)
add_library(sam3trt_openvino_runtime SHARED IMPORTED)
set_target_properties(
  sam3trt_openvino_runtime
  PROPERTIES IMPORTED_LOCATION "${sam3trt_openvino_folder}/${name}"
             IMPORTED_SONAME "${name}"
             INTERFACE_COMPILE_DEFINITIONS OV_THREAD=OV_THREAD_TBB_ADAPTIVE
             INTERFACE_INCLUDE_DIRECTORIES "${openvino}/include")
sam3trt_add_library(openvino DEPENDS base components PRIVATE_DEPENDS sam3trt_openvino_runtime)
# Its headers put their own paths into messages.
target_compile_options(sam3trt_openvino PRIVATE "-fmacro-prefix-map=${openvino}/include/=")
