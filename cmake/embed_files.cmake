# cmake "-DINPUTS=a.jpg|b.jpg" -DOUTPUT=photographs.cpp -DHEADER=verify/photographs.hpp
#       -DFUNCTION=builtin_photographs -P embed_files.cmake
# Writes the definition of FUNCTION, which gives the files' names and bytes (EmbeddedFile of HEADER).
string(REPLACE "|" ";" inputs "${INPUTS}")
set(arrays "")
set(entries "")
set(number 0)
string(REPEAT "." 80 line)
foreach(input IN LISTS inputs)
  file(READ "${input}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  cmake_path(GET input FILENAME name)
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {\n${bytes}\n};\n")
  string(APPEND entries "      {\"${name}\", std::as_bytes(std::span(kFile${number}))},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"

#include <array>

namespace sam3trt {
namespace {

${arrays}
}  // namespace

std::span<const EmbeddedFile> ${FUNCTION}() {
  static const std::array<EmbeddedFile, ${number}> kFiles = {{
${entries}  }};
  return kFiles;
}

}  // namespace sam3trt
")
