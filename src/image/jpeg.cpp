// clang-format off
#include <cstdio>  // jpeglib.h needs FILE
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>

#include "image/decoders.hpp"
#include "image/ink.hpp"
#include "image/orientation.hpp"

namespace sam3trt {
namespace {

/// A damaged file can hold any number of scans, each of which costs a pass over the picture.
constexpr int kMaxScans = 500;
/// A Huffman-coded minimum coded unit covers at most 32x32 pixels and takes at least 8 bits; an
/// arithmetic-coded one can be far smaller.
constexpr int64_t kMaxPixelsPerByte = 1024;
constexpr int64_t kMaxPixelsPerByteArithmetic = int64_t{1} << 18;

/// libjpeg reports errors by a function that must not return: it jumps back into run_guarded(),
/// past frames that own nothing. Members are set before each guarded call.
struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  jmp_buf on_error{};
  char message[JMSG_LENGTH_MAX] = {};
  uint8_t* pixels = nullptr;  ///< width * 3 bytes per row.
  uint8_t* row = nullptr;     ///< One row as libjpeg gives it.
};

JpegReader& reader_of(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

[[noreturn]] void on_error(j_common_ptr info) {
  JpegReader& reader = reader_of(info);
  (*info->err->format_message)(info, reader.message);
  longjmp(reader.on_error, 1);
}

void ignore_message(j_common_ptr) {}
void ignore_warning(j_common_ptr, int) {}
void ignore_source(j_decompress_ptr) {}

/// All bytes are there from the start: asking for more means that the file ends too early.
boolean on_end_of_data(j_decompress_ptr info) {
  ERREXIT(info, JERR_INPUT_EOF);
  return FALSE;
}

void skip_bytes(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<size_t>(count) > info->src->bytes_in_buffer) on_end_of_data(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void on_progress(j_common_ptr info) {
  auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (info->is_decompressor != FALSE && decompress->input_scan_number > kMaxScans) {
    ERREXIT(info, JERR_BAD_PROGRESSION);
  }
}

/// Calls `step`; false when libjpeg reported an error.
bool run_guarded(JpegReader& reader, void (*step)(JpegReader&)) {
  if (setjmp(reader.on_error) != 0) return false;
  step(reader);
  return true;
}

void read_header(JpegReader& reader) {
  jpeg_create_decompress(&reader.info);
  reader.info.src = &reader.source;
  reader.info.progress = &reader.progress;
  jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&reader.info, TRUE);
  switch (reader.info.num_components) {
    case 1:
      reader.info.out_color_space = JCS_GRAYSCALE;
      break;
    case 3:
      reader.info.out_color_space = JCS_RGB;
      break;
    default:
      reader.info.out_color_space = JCS_CMYK;
      break;
  }
  jpeg_calc_output_dimensions(&reader.info);
}

/// Pillow takes every four-channel file as inverted, as Adobe writes it.
void row_to_rgb(const JpegReader& reader, uint8_t* target) {
  const uint8_t* from = reader.row;
  const bool is_grey = reader.info.output_components == 1;
  for (JDIMENSION x = 0; x < reader.info.output_width; ++x, target += 3) {
    if (is_grey) {
      target[0] = target[1] = target[2] = from[x];
      continue;
    }
    for (size_t c = 0; c < 3; ++c) {
      target[c] = ink_to_light(255 - from[size_t{x} * 4 + c], from[size_t{x} * 4 + 3]);
    }
  }
}

void read_pixels(JpegReader& reader) {
  jpeg_start_decompress(&reader.info);
  const bool is_rgb = reader.info.output_components == 3;
  while (reader.info.output_scanline < reader.info.output_height) {
    uint8_t* target =
        reader.pixels + size_t{reader.info.output_scanline} * size_t{reader.info.output_width} * 3;
    JSAMPROW row = is_rgb ? target : reader.row;
    jpeg_read_scanlines(&reader.info, &row, 1);
    if (!is_rgb) row_to_rgb(reader, target);
  }
  jpeg_finish_decompress(&reader.info);
}

/// EXIF may be spread over several markers; of several XMP packets the last one counts.
int orientation_of(const JpegReader& reader) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  std::string exif;
  std::string_view xmp;
  for (jpeg_saved_marker_ptr marker = reader.info.marker_list; marker != nullptr;
       marker = marker->next) {
    const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (data.starts_with(kExif)) exif += data.substr(kExif.size());
    if (data.starts_with(kXmp)) xmp = data.substr(kXmp.size());
  }
  return OrientationMarks{exif_orientation(std::as_bytes(std::span(exif))), xmp_orientation(xmp)}
      .value();
}

struct DestroyReader {
  void operator()(JpegReader* reader) const {
    jpeg_destroy_decompress(&reader->info);
    delete reader;
  }
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  const std::unique_ptr<JpegReader, DestroyReader> owner(new JpegReader);
  JpegReader& reader = *owner;
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.info.client_data = &reader;
  reader.errors.error_exit = on_error;
  reader.errors.output_message = ignore_message;
  reader.errors.emit_message = ignore_warning;
  reader.progress.progress_monitor = on_progress;
  reader.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  reader.source.bytes_in_buffer = bytes.size();
  reader.source.init_source = ignore_source;
  reader.source.fill_input_buffer = on_end_of_data;
  reader.source.skip_input_data = skip_bytes;
  reader.source.resync_to_restart = jpeg_resync_to_restart;
  reader.source.term_source = ignore_source;

  if (!run_guarded(reader, read_header)) throw_undecodable(name, "JPEG", reader.message);
  if (reader.info.data_precision != 8) {
    throw_undecodable(name, "JPEG",
                      std::to_string(reader.info.data_precision) +
                          " bits per channel, expected 8; save it as 16-bit PNG");
  }
  const int channels = reader.info.num_components;
  if (channels != 1 && channels != 3 && channels != 4) {
    throw_undecodable(name, "JPEG", std::to_string(channels) + " channels, expected 1, 3 or 4");
  }
  const int64_t per_byte =
      reader.info.arith_code != FALSE ? kMaxPixelsPerByteArithmetic : kMaxPixelsPerByte;
  const auto plausible = static_cast<int64_t>(bytes.size()) * per_byte;
  Image image = make_image(reader.info.output_width, reader.info.output_height, name, "JPEG",
                           max_pixels, plausible);
  std::vector<uint8_t> row(size_t{reader.info.output_width} * 4);
  // The markers are gone once the picture has been read.
  const int orientation = orientation_of(reader);
  reader.pixels = image.rgb.data();
  reader.row = row.data();
  if (!run_guarded(reader, read_pixels)) throw_undecodable(name, "JPEG", reader.message);
  return apply_orientation(std::move(image), orientation);
}

}  // namespace sam3trt
