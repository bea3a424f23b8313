# make install: the program, the library with its headers, its CMake package and pkg-config file, and
# OpenVINO's libraries in a folder of their own. Everything finds everything by relative paths, so
# that the tree can be moved. The components are the packages of cmake/packages.cmake.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(private "${CMAKE_INSTALL_LIBDIR}/sam3trt")

if(SAM3TRT_PROGRAM)
  file(RELATIVE_PATH path "/${CMAKE_INSTALL_BINDIR}" "/${private}")
  set_target_properties(sam3trt_program PROPERTIES INSTALL_RPATH "$ORIGIN/${path}")
  install(TARGETS sam3trt_program RUNTIME COMPONENT program)
endif()

set_target_properties(sam3trt PROPERTIES INSTALL_RPATH "$ORIGIN/sam3trt")
install(
  TARGETS sam3trt
  EXPORT sam3trt
  LIBRARY COMPONENT library NAMELINK_COMPONENT development)
if(SAM3TRT_OPENVINO)
  install(FILES ${sam3trt_openvino_files} DESTINATION "${private}" COMPONENT library)
endif()

install(
  DIRECTORY "${PROJECT_SOURCE_DIR}/include/sam3trt"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT development
  FILES_MATCHING
  PATTERN "*.hpp")
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/sam3trt")
install(
  EXPORT sam3trt
  NAMESPACE sam3trt::
  FILE sam3trtTargets.cmake
  DESTINATION "${package}"
  COMPONENT development)
configure_package_config_file(cmake/sam3trtConfig.cmake.in generated/sam3trtConfig.cmake
                              INSTALL_DESTINATION "${package}")
# Before 1.0 a new minor version may change the interface.
write_basic_package_version_file(generated/sam3trtConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(
  FILES "${CMAKE_CURRENT_BINARY_DIR}/generated/sam3trtConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/generated/sam3trtConfigVersion.cmake"
  DESTINATION "${package}"
  COMPONENT development)
file(RELATIVE_PATH sam3trt_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(cmake/sam3trt.pc.in generated/sam3trt.pc @ONLY)
install(
  FILES "${CMAKE_CURRENT_BINARY_DIR}/generated/sam3trt.pc"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
  COMPONENT development)

include(cmake/packages.cmake)
