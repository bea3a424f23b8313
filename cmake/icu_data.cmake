# ICU's library wants its 30 MB of data, of which the text functions here need nothing: what
# normalisation, case and properties of characters take is compiled into libicuuc. The wheel gets a
# library of that name without data (tools/wheel).
if(TARGET sam3trt_icu_data)
  return()
endif()
string(REGEX MATCH "^[0-9]+" icu_major "${ICU_VERSION}")
add_library(sam3trt_icu_data SHARED EXCLUDE_FROM_ALL "${PROJECT_SOURCE_DIR}/src/text/icu/no_data.cpp")
target_link_libraries(sam3trt_icu_data PRIVATE sam3trt_flags)
target_include_directories(sam3trt_icu_data PRIVATE ${ICU_INCLUDE_DIRS})
set_target_properties(
  sam3trt_icu_data PROPERTIES PREFIX "" SUFFIX "" OUTPUT_NAME "libicudata.so.${icu_major}"
                              NO_SONAME ON LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/icu")
target_link_options(sam3trt_icu_data PRIVATE "LINKER:-soname,libicudata.so.${icu_major}")
