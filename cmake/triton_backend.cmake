# libtriton_sam3trt.so, the backend "sam3trt" of Triton Inference Server. Triton's own functions are found
# when it loads the backend; of ours it sees the entry points alone.
if(NOT TARGET sam3trt_server)
  message(FATAL_ERROR "SAM3TRT_TRITON_BACKEND needs SAM3TRT_PROGRAM and SAM3TRT_SERVER, whose queue it uses.")
endif()
execute_process(
  COMMAND "${PROJECT_SOURCE_DIR}/tools/triton_headers" OUTPUT_VARIABLE headers
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(backend "${PROJECT_SOURCE_DIR}/serving/triton/backend")
add_library(
  triton_sam3trt MODULE "${backend}/backend.cpp" "${backend}/image_model.cpp"
                        "${backend}/metrics.cpp" "${backend}/triton_request.cpp"
                        "${backend}/video_model.cpp")
set_target_properties(
  triton_sam3trt PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/triton/sam3trt"
                            LINK_DEPENDS "${backend}/exports.map" EXCLUDE_FROM_ALL ON)
target_include_directories(triton_sam3trt SYSTEM PRIVATE "${headers}")
target_link_libraries(triton_sam3trt PRIVATE sam3trt::server sam3trt::prompts
                                             nlohmann_json::nlohmann_json)
target_link_options(triton_sam3trt PRIVATE "LINKER:--version-script=${backend}/exports.map")
