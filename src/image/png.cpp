#include <libdeflate.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <new>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/png_chunks.hpp"

namespace sam3trt {
namespace {

/// Deflate shrinks by at most 1032 to 1; a row of one-bit pixels holds 8 pixels a byte.
constexpr int64_t kMaxPixelsPerByte = 1032 * 8;
/// Level 1 with one cheap filter: large images in tens of milliseconds, a third larger than the
/// best. libdeflate takes 56 ms for 1920x1080 noisy pixels where zlib's fastest takes 119.
constexpr int kCompressionLevel = 1;
constexpr png_byte kSubFilter = 1;  ///< Each byte less the one of the pixel before.
constexpr size_t kMaxChunk = size_t{1} << 30;

/// State of one libpng call. libpng reports errors by a function that must not return: it jumps
/// back into run_guarded(), past frames that own nothing.
struct PngJob {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> input;
  std::span<const std::byte> tail;  ///< Read when `input` is used up.
  uint8_t* pixels = nullptr;
  const Image* source = nullptr;
  std::span<const uint8_t> compressed;  ///< The source's rows.
  std::vector<std::byte>* output = nullptr;
  char message[256] = {};
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* job = static_cast<PngJob*>(png_get_error_ptr(png));
  std::strncpy(job->message, message, sizeof(job->message) - 1);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void take_bytes(png_structp png, png_bytep target, size_t size) {
  auto* job = static_cast<PngJob*>(png_get_io_ptr(png));
  if (job->input.empty()) std::swap(job->input, job->tail);
  if (size > job->input.size()) png_error(png, "the file ends too early");
  std::memcpy(target, job->input.data(), size);
  job->input = job->input.subspan(size);
}

/// Appends without letting an exception cross libpng's frames.
bool append(std::vector<std::byte>& output, const uint8_t* bytes, size_t size) noexcept {
  try {
    const auto* first = reinterpret_cast<const std::byte*>(bytes);
    output.insert(output.end(), first, first + size);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void give_bytes(png_structp png, png_bytep bytes, size_t size) {
  auto* job = static_cast<PngJob*>(png_get_io_ptr(png));
  if (!append(*job->output, bytes, size)) png_error(png, "out of memory");
}

void ignore_flush(png_structp) {}

/// Calls `step`; false when libpng reported an error.
bool run_guarded(PngJob& job, void (*step)(PngJob&)) {
  if (setjmp(png_jmpbuf(job.png)) != 0) return false;
  step(job);
  return true;
}

/// Texts and profiles are skipped: they can unpack to gigabytes. read_png_chunks() has read what is
/// needed of them.
constexpr png_byte kSkippedChunks[] = "tEXt\0zTXt\0iTXt\0iCCP\0sPLT\0eXIf";

void read_header(PngJob& job) {
  png_set_keep_unknown_chunks(job.png, PNG_HANDLE_CHUNK_NEVER, kSkippedChunks,
                              sizeof(kSkippedChunks) / 5);
  png_set_read_fn(job.png, &job, take_bytes);
  png_set_user_limits(job.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_read_info(job.png, job.info);
}

/// Two bytes of one channel become three equal ones in the same row; values above 255 are 255, as
/// in Pillow's convert from "I;16".
void clip_wide_grey(uint8_t* row, size_t width) {
  for (size_t x = width; x-- > 0;) {
    const uint8_t value = row[2 * x] != 0 ? uint8_t{255} : row[2 * x + 1];
    std::fill_n(row + 3 * x, 3, value);
  }
}

/// 16-bit channels keep their high byte, except for grey without alpha.
void read_pixels(PngJob& job) {
  const bool is_wide_grey = png_get_color_type(job.png, job.info) == PNG_COLOR_TYPE_GRAY &&
                            png_get_bit_depth(job.png, job.info) == 16;
  if (!is_wide_grey) {
    png_set_palette_to_rgb(job.png);
    png_set_expand_gray_1_2_4_to_8(job.png);
    png_set_strip_16(job.png);
    png_set_strip_alpha(job.png);
    png_set_gray_to_rgb(job.png);
  }
  const int passes = png_set_interlace_handling(job.png);
  png_read_update_info(job.png, job.info);
  const size_t width = png_get_image_width(job.png, job.info);
  const size_t stride = width * 3;
  if (png_get_rowbytes(job.png, job.info) != (is_wide_grey ? width * 2 : stride)) {
    png_error(job.png, "its pixels do not become RGB");
  }
  const png_uint_32 height = png_get_image_height(job.png, job.info);
  for (int pass = 0; pass < passes; ++pass) {
    for (png_uint_32 y = 0; y < height; ++y) {
      png_read_row(job.png, job.pixels + y * stride, nullptr);
    }
  }
  png_read_end(job.png, job.info);
  if (!is_wide_grey) return;
  for (png_uint_32 y = 0; y < height; ++y) clip_wide_grey(job.pixels + y * stride, width);
}

std::vector<uint8_t> filter_rows(const Image& image) {
  const auto stride = static_cast<size_t>(image.width) * 3;
  std::vector<uint8_t> rows((stride + 1) * static_cast<size_t>(image.height));
  uint8_t* to = rows.data();
  for (int64_t y = 0; y < image.height; ++y, to += stride) {
    const uint8_t* const from = image.rgb.data() + image.offset(0, y);
    *to++ = kSubFilter;
    std::copy(from, from + 3, to);
    for (size_t i = 3; i < stride; ++i) to[i] = static_cast<uint8_t>(from[i] - from[i - 3]);
  }
  return rows;
}

std::vector<uint8_t> compress(const std::vector<uint8_t>& bytes) {
  const std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor(
      libdeflate_alloc_compressor(kCompressionLevel), &libdeflate_free_compressor);
  if (compressor == nullptr) throw std::bad_alloc();
  std::vector<uint8_t> compressed(libdeflate_zlib_compress_bound(compressor.get(), bytes.size()));
  compressed.resize(libdeflate_zlib_compress(compressor.get(), bytes.data(), bytes.size(),
                                             compressed.data(), compressed.size()));
  return compressed;
}

void write_picture(PngJob& job) {
  const Image& image = *job.source;
  png_set_write_fn(job.png, &job, give_bytes, ignore_flush);
  png_set_IHDR(job.png, job.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(job.png, job.info);
  constexpr std::array<png_byte, 5> kData = {'I', 'D', 'A', 'T', 0};
  constexpr std::array<png_byte, 5> kEnd = {'I', 'E', 'N', 'D', 0};
  for (auto rest = job.compressed; !rest.empty();) {
    const size_t size = std::min(rest.size(), kMaxChunk);
    png_write_chunk(job.png, kData.data(), rest.data(), size);
    rest = rest.subspan(size);
  }
  png_write_chunk(job.png, kEnd.data(), nullptr, 0);
}

struct DestroyReader {
  void operator()(PngJob* job) const { png_destroy_read_struct(&job->png, &job->info, nullptr); }
};
struct DestroyWriter {
  void operator()(PngJob* job) const { png_destroy_write_struct(&job->png, &job->info); }
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  const PngChunks chunks = read_png_chunks(bytes, name);
  PngJob job;
  job.input = chunks.pixels;
  job.tail = chunks.tail;
  job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_error, ignore_warning);
  if (job.png == nullptr) throw Error(ErrorCode::kInternal, "libpng cannot be initialised");
  const std::unique_ptr<PngJob, DestroyReader> owner(&job);
  job.info = png_create_info_struct(job.png);
  if (job.info == nullptr) throw Error(ErrorCode::kInternal, "libpng is out of memory");

  if (!run_guarded(job, read_header)) throw_undecodable(name, "PNG", job.message);
  const auto plausible = static_cast<int64_t>(bytes.size()) * kMaxPixelsPerByte;
  Image image =
      make_image(png_get_image_width(job.png, job.info), png_get_image_height(job.png, job.info),
                 name, "PNG", max_pixels, plausible);
  job.pixels = image.rgb.data();
  if (!run_guarded(job, read_pixels)) throw_undecodable(name, "PNG", job.message);
  return apply_orientation(std::move(image), chunks.marks.value());
}

std::vector<std::byte> encode_png(const Image& image) {
  if (image.width <= 0 || image.height <= 0 ||
      image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
    throw Error(ErrorCode::kInternal, "encode_png: the picture is empty or has a wrong size");
  }
  const std::vector<uint8_t> compressed = compress(filter_rows(image));
  std::vector<std::byte> bytes;
  PngJob job;
  job.source = &image;
  job.compressed = compressed;
  job.output = &bytes;
  job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_error, ignore_warning);
  if (job.png == nullptr) throw Error(ErrorCode::kInternal, "libpng cannot be initialised");
  const std::unique_ptr<PngJob, DestroyWriter> owner(&job);
  job.info = png_create_info_struct(job.png);
  if (job.info == nullptr) throw Error(ErrorCode::kInternal, "libpng is out of memory");
  if (!run_guarded(job, write_picture)) {
    throw Error(ErrorCode::kInternal, std::string("a PNG cannot be written: ") + job.message);
  }
  return bytes;
}

}  // namespace sam3trt
