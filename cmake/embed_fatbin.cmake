# cmake -DINPUT=kernels.fatbin -DOUTPUT=fatbin.cpp -DFUNCTION=kernel_fatbin -P embed_fatbin.cmake
# Writes the definition of FUNCTION in src/cuda/fatbin.hpp.
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
# Lines of 16 bytes of 5 characters each: editors and compilers dislike one line of a megabyte.
string(REPEAT "." 80 line)
string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "#include \"cuda/fatbin.hpp\"

namespace sam3trt {
namespace {

alignas(16) constexpr unsigned char kFatbin[] = {
${bytes}
};

}  // namespace

std::span<const std::byte> ${FUNCTION}() { return std::as_bytes(std::span(kFatbin)); }

}  // namespace sam3trt
")
