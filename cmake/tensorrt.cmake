# TensorRT 10, TensorRT 11 and TensorRT-RTX from one source: src/trt/flavour/flavour.cpp is compiled once for
# each flavour whose headers are in SAM3TRT_TENSORRT_HEADERS (tools/tensorrt_headers). The libraries
# are loaded at run time.
foreach(flavour 10 11 rtx)
  set(headers "${SAM3TRT_TENSORRT_HEADERS}/${flavour}")
  set(number ${flavour})
  if(flavour STREQUAL rtx)
    set(number 1)
  endif()
  if(EXISTS "${headers}/NvInfer.h")
    add_library(sam3trt_trt_${flavour} OBJECT src/trt/flavour/flavour.cpp)
    if(NOT flavour STREQUAL rtx) # which has no plugins
      target_sources(sam3trt_trt_${flavour} PRIVATE src/trt/flavour/operator_plugins.cpp)
    endif()
    target_include_directories(sam3trt_trt_${flavour} SYSTEM
                               PRIVATE "${headers}" "${SAM3TRT_TENSORRT_HEADERS}/cuda")
    # The classes of two majors share their names, not their layout.
    target_compile_definitions(sam3trt_trt_${flavour} PRIVATE nvinfer1=nvinfer1_${flavour}
                                                              nvonnxparser=nvonnxparser_${flavour})
    target_compile_options(sam3trt_trt_${flavour} PRIVATE -Wno-deprecated-declarations)
  else()
    message(STATUS "TensorRT ${flavour}: no headers in ${headers}, built without it")
    add_library(sam3trt_trt_${flavour} OBJECT src/trt/flavour/missing.cpp)
  endif()
  target_compile_definitions(sam3trt_trt_${flavour} PRIVATE SAM3TRT_FLAVOUR=${number})
  target_include_directories(sam3trt_trt_${flavour} PRIVATE src include)
  sam3trt_as_part(sam3trt_trt_${flavour})
  target_link_libraries(sam3trt_trt_${flavour} PRIVATE sam3trt_flags)
  target_sources(sam3trt_trt PRIVATE $<TARGET_OBJECTS:sam3trt_trt_${flavour}>)
endforeach()
