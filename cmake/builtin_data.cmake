# Recipes, limits and the script that writes Parquet become part of the program, so that it needs no file beside it.
# sam3trt_embed(FOLDER NAME VARIABLE FILE): FILE as the text of src/FOLDER/NAME.cpp.in's @VARIABLE@.
function(sam3trt_embed folder name variable file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${file}")
  file(READ "${PROJECT_SOURCE_DIR}/${file}" ${variable})
  configure_file(src/${folder}/${name}.cpp.in generated/${folder}/${name}.cpp @ONLY)
  target_sources(sam3trt_${folder} PRIVATE "${PROJECT_BINARY_DIR}/generated/${folder}/${name}.cpp")
endfunction()

sam3trt_embed(precision builtin_recipes SAM3TRT_RECIPES configs/precision/recipes.json)
sam3trt_embed(verify builtin_gate SAM3TRT_GATE configs/verify/gate.json)
sam3trt_embed(verify builtin_published SAM3TRT_PUBLISHED configs/verify/published.json)
if(SAM3TRT_PROGRAM)
  sam3trt_embed(jobs builtin_parquet SAM3TRT_PARQUET python/sam3trt/parquet.py)
endif()

# sam3trt_embed_files(FOLDER FUNCTION HEADER FILE...): the files become part of src/FOLDER, as what FUNCTION
# of its HEADER gives.
function(sam3trt_embed_files folder function header)
  set(output "${PROJECT_BINARY_DIR}/generated/${folder}/${function}.cpp")
  string(REPLACE ";" "|" inputs "${ARGN}")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DINPUTS=${inputs}" "-DOUTPUT=${output}" -DHEADER=${header}
            -DFUNCTION=${function} -P "${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake"
    DEPENDS ${ARGN} "${PROJECT_SOURCE_DIR}/cmake/embed_files.cmake"
    COMMENT "Embedding ${function}"
    VERBATIM)
  target_sources(sam3trt_${folder} PRIVATE "${output}")
endfunction()

# The photographs that engines are calibrated and verified with where the user names none.
set(photographs "${PROJECT_SOURCE_DIR}/test_images/cat.jpg"
                "${PROJECT_SOURCE_DIR}/test_images/example.jpg"
                "${PROJECT_SOURCE_DIR}/test_images/rocket.jpg")
sam3trt_embed_files(verify builtin_photographs verify/photographs.hpp ${photographs})

# What `sam3trt triton-repository` writes.
if(SAM3TRT_PROGRAM)
  set(triton "${PROJECT_SOURCE_DIR}/serving/triton")
  sam3trt_embed_files(
    triton builtin_triton_files triton/triton_repository.hpp "${triton}/sam3.pbtxt"
    "${triton}/sam3_video.pbtxt" "${triton}/python/model.py" "${triton}/python/video_model.py"
    "${triton}/python/sam3trt_triton.py")
endif()

# The page of `sam3trt serve`, as web/ built it (web/dist is in the repository), and its OpenAPI file.
if(TARGET sam3trt_server)
  sam3trt_embed(server builtin_openapi SAM3TRT_OPENAPI src/server/openapi.json)
  set(page_root "${PROJECT_SOURCE_DIR}/web/dist")
  file(GLOB_RECURSE page_files CONFIGURE_DEPENDS "${page_root}/*")
  string(REPLACE ";" "|" page_argument "${page_files}")
  add_custom_command(
    OUTPUT "${PROJECT_BINARY_DIR}/generated/server/builtin_page.cpp"
    COMMAND
      "${CMAKE_COMMAND}" "-DFILES=${page_argument}" "-DROOT=${page_root}"
      "-DOUTPUT=${PROJECT_BINARY_DIR}/generated/server/builtin_page.cpp" -P
      "${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake"
    DEPENDS ${page_files} "${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake"
    COMMENT "Embedding the page"
    VERBATIM)
  target_sources(sam3trt_server PRIVATE "${PROJECT_BINARY_DIR}/generated/server/builtin_page.cpp")
endif()
