# The GPU kernels: one fatbin, made by nvcc and embedded into the library. No other target needs
# CUDA's headers or libraries; the driver is loaded at run time.
find_program(
  SAM3TRT_NVCC nvcc
  HINTS "${SAM3TRT_SITE_PACKAGES}/nvidia/cu13/bin"
  DOC "CUDA's compiler, version 13.0 or later 13.x."
  NO_DEFAULT_PATH)
if(NOT SAM3TRT_NVCC)
  message(FATAL_ERROR "no nvcc in ${SAM3TRT_VENV}: run 'make setup', which installs it from "
                      "tools/requirements.txt, or name another one with -DSAM3TRT_NVCC=PATH")
endif()

# Machine code for each generation, and PTX for GPUs between and after them.
set(gencode -gencode=arch=compute_80,code=[sm_80,compute_80]
            -gencode=arch=compute_120,code=[sm_120,compute_120])
foreach(capability 86 89 90 100)
  list(APPEND gencode -gencode=arch=compute_${capability},code=sm_${capability})
endforeach()

set(nvcc_flags)
if(SAM3TRT_WERROR)
  set(nvcc_flags -Werror=all-warnings)
endif()

# Results equal the CPU's bit for bit only where a * b + c is rounded twice: -fmad=false.
set(fatbin_folder "${CMAKE_BINARY_DIR}/generated/cuda")
set(fatbin "${fatbin_folder}/kernels.fatbin")
set(kernels "${CMAKE_SOURCE_DIR}/src/cuda/kernels/kernels.cu")
file(MAKE_DIRECTORY "${fatbin_folder}")
add_custom_command(
  OUTPUT "${fatbin}"
  COMMAND
    "${SAM3TRT_NVCC}" --fatbin -std=c++20 -O3 -fmad=false ${nvcc_flags} "-ccbin=${CMAKE_CXX_COMPILER}"
    "-I${CMAKE_SOURCE_DIR}/src" ${gencode} -MD -MF "${fatbin}.d" -MT "${fatbin}" "${kernels}" -o
    "${fatbin}"
  DEPENDS "${kernels}" "${SAM3TRT_NVCC}"
  DEPFILE "${fatbin}.d"
  COMMENT "Compiling GPU kernels"
  VERBATIM)
add_custom_command(
  OUTPUT "${fatbin_folder}/fatbin.cpp"
  COMMAND "${CMAKE_COMMAND}" "-DINPUT=${fatbin}" "-DOUTPUT=${fatbin_folder}/fatbin.cpp" -P
          "${CMAKE_SOURCE_DIR}/cmake/embed_fatbin.cmake"
  DEPENDS "${fatbin}" "${CMAKE_SOURCE_DIR}/cmake/embed_fatbin.cmake"
  COMMENT "Embedding GPU kernels"
  VERBATIM)
target_sources(sam3trt_cuda PRIVATE "${fatbin_folder}/fatbin.cpp")
