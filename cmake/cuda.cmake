# The GPU kernels: one fatbin, made by nvcc and embedded into the library. No other target needs
# CUDA's headers or libraries; the driver is loaded at run time.
find_program(
  SAM3TRT_NVCC nvcc
  HINTS "${SAM3TRT_SITE_PACKAGES}/nvidia/cu13/bin"
  DOC "CUDA's compiler, version 13.0 or later 13.x."
  NO_DEFAULT_PATH)
if(NOT SAM3TRT_NVCC AND NOT SAM3TRT_FATBINS)
  message(FATAL_ERROR "no nvcc in ${SAM3TRT_VENV}: run 'make setup', which installs it from "
                      "tools/requirements.txt, or name another one with -DSAM3TRT_NVCC=PATH")
endif()

# Machine code for each generation, and PTX for GPUs between and after them.
set(gencode -gencode=arch=compute_80,code=[sm_80,compute_80]
            -gencode=arch=compute_120,code=[sm_120,compute_120])
foreach(capability 86 89 90 100)
  list(APPEND gencode -gencode=arch=compute_${capability},code=sm_${capability})
endforeach()

set(gencode_warpgroup -gencode=arch=compute_90a,code=sm_90a)
if(SAM3TRT_SANITIZE) # which no GPU runs: what the fake driver takes for kernels
  set(gencode -gencode=arch=compute_80,code=compute_80)
  set(gencode_warpgroup -gencode=arch=compute_90a,code=compute_90a)
endif()

set(nvcc_flags)
if(SAM3TRT_WERROR)
  set(nvcc_flags -Werror=all-warnings)
endif()

# sam3trt_embed_kernels(SOURCE FUNCTION GENCODE...): compiles src/cuda/kernels/SOURCE.cu, unless another
# build did, and embeds it as what FUNCTION of src/cuda/fatbin.hpp returns. Results equal the CPU's bit
# for bit only where a * b + c is rounded twice: -fmad=false.
set(fatbin_folder "${PROJECT_BINARY_DIR}/generated/cuda")
file(MAKE_DIRECTORY "${fatbin_folder}")
function(sam3trt_compile_kernels source fatbin)
  set(kernels "${PROJECT_SOURCE_DIR}/src/cuda/kernels/${source}.cu")
  add_custom_command(
    OUTPUT "${fatbin}"
    COMMAND
      "${SAM3TRT_NVCC}" --fatbin -std=c++20 -O3 -fmad=false ${nvcc_flags}
      "-ccbin=${CMAKE_CXX_COMPILER}" "-I${PROJECT_SOURCE_DIR}/include"
      "-I${PROJECT_SOURCE_DIR}/src" ${ARGN} -MD -MF "${fatbin}.d"
      -MT "${fatbin}" "${kernels}" -o "${fatbin}"
    DEPENDS "${kernels}" "${SAM3TRT_NVCC}"
    DEPFILE "${fatbin}.d"
    COMMENT "Compiling GPU kernels: ${source}"
    VERBATIM)
endfunction()
function(sam3trt_embed_kernels source function)
  set(embedded "${fatbin_folder}/${source}_fatbin.cpp")
  if(SAM3TRT_FATBINS)
    set(fatbin "${SAM3TRT_FATBINS}/${source}.fatbin")
  else()
    set(fatbin "${fatbin_folder}/${source}.fatbin")
    sam3trt_compile_kernels(${source} "${fatbin}" ${ARGN})
  endif()
  add_custom_command(
    OUTPUT "${embedded}"
    COMMAND "${CMAKE_COMMAND}" "-DINPUT=${fatbin}" "-DOUTPUT=${embedded}" "-DFUNCTION=${function}" -P
            "${PROJECT_SOURCE_DIR}/cmake/embed_fatbin.cmake"
    DEPENDS "${fatbin}" "${PROJECT_SOURCE_DIR}/cmake/embed_fatbin.cmake"
    COMMENT "Embedding GPU kernels: ${source}"
    VERBATIM)
  target_sources(sam3trt_cuda PRIVATE "${embedded}")
endfunction()
sam3trt_embed_kernels(kernels kernel_fatbin ${gencode})
sam3trt_embed_kernels(operators operator_fatbin ${gencode})
sam3trt_embed_kernels(products product_fatbin ${gencode})
sam3trt_embed_kernels(attention_warpgroup warpgroup_attention_fatbin ${gencode_warpgroup})
