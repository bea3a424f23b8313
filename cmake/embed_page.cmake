# cmake "-DFILES=a.js|b.css" -DROOT=web/dist -DOUTPUT=builtin_page.cpp -P embed_page.cmake
# Writes the definition of builtin_page() (server/page_routes.hpp) with these files.
string(REPLACE "|" ";" files "${FILES}")
set(arrays "")
set(entries "")
set(number 0)
string(REPEAT "." 80 line)
foreach(file IN LISTS files)
  file(READ "${file}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  file(RELATIVE_PATH path "${ROOT}" "${file}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {\n${bytes}\n};\n")
  string(APPEND entries "      {\"${path}\", std::as_bytes(std::span(kFile${number}))},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}" "#include \"server/page_routes.hpp\"

#include <array>

namespace sam3trt {
namespace {

${arrays}
}  // namespace

std::span<const PageFile> builtin_page() {
  static const std::array<PageFile, ${number}> kFiles = {{
${entries}  }};
  return kFiles;
}

}  // namespace sam3trt
")
