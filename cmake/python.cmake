# The Python package: the module sam3trt._core and the program, which pip puts beside python/sam3trt
# (pyproject.toml). OpenVINO's libraries are those of PyPI's openvino, the package's neighbour.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -m nanobind --cmake_dir
  OUTPUT_VARIABLE nanobind_ROOT OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)
# CMake before 3.26 does not know this component, of which nanobind only asks whether it is there.
if(NOT TARGET Python::SABIModule AND Python_VERSION VERSION_GREATER_EQUAL 3.12)
  add_library(Python::SABIModule INTERFACE IMPORTED)
endif()

file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/python/binding/*.cpp")
# With Python 3.12 or later one module serves all from 3.12 on.
nanobind_add_module(_core STABLE_ABI NB_STATIC NB_SUPPRESS_WARNINGS ${sources})
target_link_libraries(_core PRIVATE sam3trt::static sam3trt::video)
set_target_properties(_core PROPERTIES BUILD_RPATH_USE_ORIGIN ON
                                       INSTALL_RPATH "$ORIGIN/../openvino/libs")
target_link_options(_core PRIVATE "LINKER:--exclude-libs,ALL" "LINKER:--gc-sections")
nanobind_add_stub(
  sam3trt_core_stub
  MODULE _core
  OUTPUT "${PROJECT_BINARY_DIR}/_core.pyi"
  PYTHON_PATH $<TARGET_FILE_DIR:_core>
  DEPENDS _core)
add_custom_target(sam3trt_python DEPENDS _core sam3trt_core_stub sam3trt_program)

install(TARGETS _core LIBRARY DESTINATION sam3trt COMPONENT python)
install(FILES "${PROJECT_BINARY_DIR}/_core.pyi" DESTINATION sam3trt COMPONENT python)
set_target_properties(sam3trt_program PROPERTIES INSTALL_RPATH "$ORIGIN/../../openvino/libs")
install(TARGETS sam3trt_program RUNTIME DESTINATION sam3trt/bin COMPONENT python)

include(cmake/icu_data.cmake)
add_dependencies(sam3trt_python sam3trt_icu_data)
