# sam3trt::sam3trt, the library for other programs: the parts that the public headers reach, as one
# shared object that exports what those headers mark with SAM3TRT_API and nothing else.
# Symbols carry the version that must fit: before 1.0 the minor one, too (docs/embedding.md).
set(sam3trt_abi ${PROJECT_VERSION_MAJOR})
math(EXPR sam3trt_next_abi "${PROJECT_VERSION_MAJOR} + 1")
if(sam3trt_abi EQUAL 0)
  math(EXPR next_minor "${PROJECT_VERSION_MINOR} + 1")
  set(sam3trt_abi 0.${PROJECT_VERSION_MINOR})
  set(sam3trt_next_abi 0.${next_minor})
endif()
set(exports "${PROJECT_BINARY_DIR}/generated/exports.map")
configure_file("${PROJECT_SOURCE_DIR}/cmake/exports.map.in" "${exports}" @ONLY)
add_library(sam3trt SHARED "${PROJECT_SOURCE_DIR}/src/version.cpp")
add_library(sam3trt::sam3trt ALIAS sam3trt)
sam3trt_as_part(sam3trt)
set_target_properties(
  sam3trt
  PROPERTIES VERSION ${PROJECT_VERSION}
             SOVERSION ${PROJECT_VERSION_MAJOR}
             LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib"
             BUILD_RPATH_USE_ORIGIN ON
             LINK_DEPENDS "${exports}")
target_include_directories(sam3trt PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
                                          "$<INSTALL_INTERFACE:include>")
target_compile_features(sam3trt PUBLIC cxx_std_20)
# All of the folders that implement public headers; of the others what these need.
foreach(part segmenter image)
  target_sources(sam3trt PRIVATE $<TARGET_OBJECTS:sam3trt_${part}>)
  target_link_libraries(sam3trt PRIVATE sam3trt_${part})
endforeach()
target_link_options(sam3trt PRIVATE "LINKER:--version-script=${exports}" "LINKER:-z,defs")
