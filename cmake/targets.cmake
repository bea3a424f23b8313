# sam3trt_as_part(TARGET): it can be a part of the shared library, whose symbols are hidden unless
# SAM3TRT_API (include/sam3trt/export.hpp) says otherwise.
function(sam3trt_as_part target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                             VISIBILITY_INLINES_HIDDEN ON)
endfunction()

# sam3trt_add_library(NAME [SOURCES folder] [LEAVE_OUT name...] [DEPENDS folder...]
#                     [PRIVATE_DEPENDS target...])
# The static library of the folder src/NAME: all its .cpp files, or those of the folder SOURCES.
# LEAVE_OUT names files of which missing/ has one without what they need. DEPENDS names other folders.
function(sam3trt_add_library name)
  cmake_parse_arguments(ARG "" "SOURCES" "LEAVE_OUT;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  if(NOT ARG_SOURCES)
    set(ARG_SOURCES ${name})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${ARG_SOURCES}/*.cpp")
  if(NOT sources)
    message(FATAL_ERROR "no sources in ${PROJECT_SOURCE_DIR}/src/${ARG_SOURCES}")
  endif()
  sam3trt_leave_out(sources "${PROJECT_SOURCE_DIR}/src/${ARG_SOURCES}" ${ARG_LEAVE_OUT})
  add_library(sam3trt_${name} STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(sam3trt::${name} ALIAS sam3trt_${name})
  sam3trt_as_part(sam3trt_${name})
  target_include_directories(sam3trt_${name} PUBLIC "${PROJECT_SOURCE_DIR}/include"
                                                    "${PROJECT_SOURCE_DIR}/src")
  target_link_libraries(sam3trt_${name} PUBLIC sam3trt_flags PRIVATE ${ARG_PRIVATE_DEPENDS})
  foreach(folder IN LISTS ARG_DEPENDS)
    target_link_libraries(sam3trt_${name} PUBLIC sam3trt::${folder})
  endforeach()
endfunction()

# sam3trt_leave_out(RESULT FOLDER NAME...): takes the sources NAME.cpp of FOLDER out of the list RESULT,
# and FOLDER/missing/NAME.cpp in: what says that this build is without it.
function(sam3trt_leave_out result folder)
  foreach(name IN LISTS ARGN)
    list(REMOVE_ITEM ${result} "${folder}/${name}.cpp")
    list(APPEND ${result} "${folder}/missing/${name}.cpp")
  endforeach()
  set(${result} "${${result}}" PARENT_SCOPE)
endfunction()

# sam3trt_collect(NAME COLLECTION): building the target COLLECTION builds NAME.
function(sam3trt_collect name collection)
  if(NOT TARGET ${collection})
    add_custom_target(${collection})
  endif()
  add_dependencies(${collection} ${name})
endfunction()

# sam3trt_add_test(NAME LABEL label [PARTS n] SOURCES file... DEPENDS target...)
# One gtest program; it is registered with ctest as a whole, so a crash fails it, or, with PARTS, as
# NAME_1 to NAME_n, which share its tests and run side by side. Building the target LABEL_tests builds
# all of one label.
function(sam3trt_add_test name)
  cmake_parse_arguments(ARG "" "LABEL;PARTS" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE SAM3TRT_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
                                             SAM3TRT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_PARTS)
    foreach(part RANGE 1 ${ARG_PARTS})
      add_test(NAME ${name}_${part} COMMAND ${name})
      math(EXPR index "${part} - 1")
      set_tests_properties(
        ${name}_${part}
        PROPERTIES LABELS ${ARG_LABEL} ENVIRONMENT
                   "GTEST_TOTAL_SHARDS=${ARG_PARTS};GTEST_SHARD_INDEX=${index}")
    endforeach()
  else()
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL})
  endif()
  sam3trt_collect(${name} ${ARG_LABEL}_tests)
endfunction()

# sam3trt_add_fuzzer(NAME SOURCES file... DEPENDS target...)
# With SAM3TRT_FUZZ a libFuzzer program; otherwise a test that feeds it the corpus of that name.
function(sam3trt_add_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  set(corpus "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  if(SAM3TRT_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${ARG_SOURCES} "${PROJECT_SOURCE_DIR}/tests/fuzz/run_corpus.cpp")
    add_test(NAME ${name} COMMAND ${name} "${corpus}")
    set_tests_properties(${name} PROPERTIES LABELS fuzz)
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  sam3trt_collect(${name} fuzz_tests)
endfunction()
