# TensorRT 10, TensorRT 11 and TensorRT-RTX from one source: src/trt/flavour/flavour.cpp is compiled once for
# each flavour whose headers are found. The libraries are loaded at run time.

# sam3trt_find_tensorrt_headers(FLAVOUR RESULT): the folder of the headers of `10`, `11` or `rtx`: of an
# installed TensorRT, else what tools/tensorrt_headers fetched; empty where there are none.
function(sam3trt_find_tensorrt_headers flavour result)
  set(${result} "" PARENT_SCOPE)
  if(NOT flavour STREQUAL rtx)
    foreach(folder "${SAM3TRT_TENSORRT_INCLUDE}" "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
                   /usr/include /usr/local/include)
      if(NOT EXISTS "${folder}/NvInferVersion.h" OR NOT EXISTS "${folder}/NvOnnxParser.h")
        continue()
      endif()
      # NV_TENSORRT_MAJOR is a number, or a name that is defined as one.
      file(STRINGS "${folder}/NvInferVersion.h" lines REGEX "(NV_TENSORRT|TRT)_MAJOR[A-Z_]* +[0-9]+")
      if(lines MATCHES "MAJOR[A-Z_]* +${flavour}([^0-9]|$)")
        set(${result} "${folder}" PARENT_SCOPE)
        return()
      endif()
    endforeach()
  endif()
  if(EXISTS "${SAM3TRT_TENSORRT_HEADERS}/${flavour}/NvInfer.h")
    set(${result} "${SAM3TRT_TENSORRT_HEADERS}/${flavour}" PARENT_SCOPE)
  endif()
endfunction()

# Headers that appear or go make CMake run again.
file(GLOB headers CONFIGURE_DEPENDS "${SAM3TRT_TENSORRT_INCLUDE}/NvInferVersion.h"
     "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/NvInferVersion.h" /usr/include/NvInferVersion.h
     "${SAM3TRT_TENSORRT_HEADERS}/*/NvInfer.h")

# TensorRT's headers include one of CUDA's.
find_path(
  SAM3TRT_CUDA_INCLUDE cuda_runtime_api.h
  HINTS "${SAM3TRT_SITE_PACKAGES}/nvidia/cu13/include" "${SAM3TRT_TENSORRT_HEADERS}/cuda"
  DOC "Folder of cuda_runtime_api.h.")

set(SAM3TRT_TENSORRT_DEFINITIONS "")
set(found "")
set(missing "")
foreach(flavour 10 11 rtx)
  set(name "TensorRT ${flavour}")
  set(number ${flavour})
  if(flavour STREQUAL rtx)
    set(name TensorRT-RTX)
    set(number 1)
  endif()
  sam3trt_find_tensorrt_headers(${flavour} headers)
  if(NOT headers OR NOT SAM3TRT_CUDA_INCLUDE)
    list(APPEND missing "${name}")
    continue()
  endif()
  message(STATUS "${name}: headers in ${headers}")
  list(APPEND found "${name}")
  set(library sam3trt_trt_${flavour})
  add_library(${library} OBJECT src/trt/flavour/flavour.cpp)
  if(NOT flavour STREQUAL rtx) # which has no plugins
    target_sources(${library} PRIVATE src/trt/flavour/operator_plugins.cpp)
  endif()
  target_include_directories(${library} SYSTEM PRIVATE "${headers}" "${SAM3TRT_CUDA_INCLUDE}")
  # The classes of two majors share their names, not their layout.
  target_compile_definitions(
    ${library} PRIVATE nvinfer1=nvinfer1_${flavour} nvonnxparser=nvonnxparser_${flavour}
                       SAM3TRT_FLAVOUR=${number})
  target_compile_options(${library} PRIVATE -Wno-deprecated-declarations)
  target_include_directories(${library} PRIVATE src include)
  sam3trt_as_part(${library})
  target_link_libraries(${library} PRIVATE sam3trt_flags)
  target_sources(sam3trt_trt PRIVATE $<TARGET_OBJECTS:${library}>)
  string(TOUPPER ${flavour} upper)
  list(APPEND SAM3TRT_TENSORRT_DEFINITIONS SAM3TRT_HAS_TENSORRT_${upper}=1)
endforeach()
set_property(SOURCE src/trt/library.cpp PROPERTY COMPILE_DEFINITIONS
                                                 ${SAM3TRT_TENSORRT_DEFINITIONS})

# What `make` says at its end.
list(JOIN found ", " found_text)
list(JOIN missing ", " missing_text)
set(fix "install libnvinfer-headers-dev and libnvonnxparsers-dev from NVIDIA's repository, or cargo and run tools/tensorrt_headers, then 'make' again")
if(NOT found)
  set(summary
      "WITHOUT its TensorRT backend: it runs graphs on the CPU, but builds and runs no engines; ${fix}")
elseif(missing)
  set(summary "with ${found_text}, without the headers of ${missing_text}")
else()
  set(summary "with ${found_text}")
endif()
file(WRITE "${PROJECT_BINARY_DIR}/summary.txt" "build/sam3trt was built ${summary}\n")
