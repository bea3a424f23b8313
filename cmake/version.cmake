# The version of the project, of the package and of the shared library, from the public header.
set(sam3trt_version_header "${CMAKE_CURRENT_LIST_DIR}/../include/sam3trt/version.hpp")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${sam3trt_version_header}")
file(STRINGS "${sam3trt_version_header}" sam3trt_version REGEX "#define SAM3TRT_VERSION ")
string(REGEX REPLACE ".*\"([0-9.]+)\".*" "\\1" sam3trt_version "${sam3trt_version}")
