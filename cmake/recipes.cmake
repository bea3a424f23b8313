# The precision recipes become part of the program, so that it needs no file beside it.
set(recipes "${CMAKE_SOURCE_DIR}/configs/precision/recipes.json")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${recipes}")
file(READ "${recipes}" SAM3TRT_RECIPES)
configure_file(src/precision/builtin_recipes.cpp.in generated/precision/builtin_recipes.cpp @ONLY)
target_sources(sam3trt_precision PRIVATE
               "${CMAKE_BINARY_DIR}/generated/precision/builtin_recipes.cpp")
