# Flags live on one interface target that every target of the project links.
if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_program(SAM3TRT_CCACHE ccache DOC "Compiler cache.")
if(SAM3TRT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SAM3TRT_CCACHE})
endif()

add_library(sam3trt_flags INTERFACE)
target_compile_features(sam3trt_flags INTERFACE cxx_std_20)
target_compile_options(sam3trt_flags INTERFACE -Wall -Wextra -Wconversion)
# a * b + c is rounded twice on every processor, so that results do not depend on it.
target_compile_options(sam3trt_flags INTERFACE -ffp-contract=off)
# g++ 12 reports a false -Wrestrict for "literal" + std::string (GCC bug 105651).
target_compile_options(sam3trt_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(SAM3TRT_WERROR)
  target_compile_options(sam3trt_flags INTERFACE -Werror)
endif()
if(SAM3TRT_SANITIZE)
  target_compile_options(sam3trt_flags INTERFACE -fsanitize=address,undefined
                                                 -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sam3trt_flags INTERFACE -fsanitize=address,undefined)
endif()
if(SAM3TRT_SANITIZE_THREADS)
  target_compile_options(sam3trt_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(sam3trt_flags INTERFACE -fsanitize=thread)
endif()
if(SAM3TRT_FUZZ)
  target_compile_options(sam3trt_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# sam3trt_compile_for_speed(target...): loops over pixels, weights or the fake GPU's threads. The rest
# is compiled as the presets say: faster to build, and hardly slower.
function(sam3trt_compile_for_speed)
  foreach(target IN LISTS ARGV)
    if(SAM3TRT_SANITIZE OR SAM3TRT_SANITIZE_THREADS)
      target_compile_options(${target} PRIVATE -O1)
    elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
      target_compile_options(${target} PRIVATE -O3)
    endif()
  endforeach()
endfunction()
