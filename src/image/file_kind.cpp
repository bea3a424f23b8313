#include "image/file_kind.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

namespace sam3trt {
namespace {

using std::string_view_literals::operator""sv;  // NOLINT(misc-unused-using-decls): used below

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool has_at(std::string_view text, size_t offset, std::string_view magic) {
  return text.size() >= offset && text.substr(offset).starts_with(magic);
}

/// Brands of an ISO media file ("ftyp"): the major one, then those that it is compatible with.
bool has_brand(std::string_view text, std::string_view brand) {
  if (!has_at(text, 4, "ftyp")) return false;
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i) size = (size << 8) | static_cast<uint8_t>(text[i]);
  const size_t end = std::min({size, text.size(), size_t{4096}});
  for (size_t at = 8; at + 4 <= end; at += 4) {
    if (at != 12 && text.substr(at, 4) == brand) return true;  // at 12 is the version
  }
  return false;
}

bool has_any_brand(std::string_view text, std::span<const std::string_view> brands) {
  return std::ranges::any_of(brands,
                             [&](std::string_view brand) { return has_brand(text, brand); });
}

struct Kind {
  size_t offset;
  std::string_view magic;
  const char* what;
  const char* way_out;
};

constexpr const char* kConvert = "save it as PNG or JPEG";
constexpr const char* kFrames =
    "take images out of it first, for example 'ffmpeg -i FILE %05d.png'";
constexpr const char* kRaw = "develop it, and save the result as JPEG, PNG or TIFF";
constexpr const char* kUnpack = "unpack it, and name the images in it";

/// Binary files, told by the bytes at a place. Special ones come before those they are built on.
constexpr std::array kKinds = {
    Kind{0, "8BPS"sv, "a Photoshop document (PSD)", kConvert},
    Kind{0, "\xFF\x0A"sv, "a JPEG XL image", kConvert},
    Kind{0, "\0\0\0\x0CJXL \r\n\x87\n"sv, "a JPEG XL image", kConvert},
    Kind{0, "\0\0\0\x0CjP  \r\n\x87\n"sv, "a JPEG 2000 image", kConvert},
    Kind{0, "\xFF\x4F\xFF\x51"sv, "a JPEG 2000 image", kConvert},
    Kind{0, "II\xBC"sv, "a JPEG XR image", kConvert},
    Kind{0, "%PDF"sv, "a PDF document", "save the wanted page as PNG or JPEG"},
    Kind{0, "%!PS"sv, "a PostScript document", "save the wanted page as PNG or JPEG"},
    Kind{0, "\x76\x2F\x31\x01"sv, "an OpenEXR image", "save it as 8-bit PNG"},
    Kind{0, "#?RADIANCE"sv, "a Radiance HDR image", "save it as 8-bit PNG"},
    Kind{0, "#?RGBE"sv, "a Radiance HDR image", "save it as 8-bit PNG"},
    Kind{0, "\0\0\1\0"sv, "a Windows icon", kConvert},
    Kind{0, "\0\0\2\0"sv, "a Windows cursor", kConvert},
    Kind{0, "icns"sv, "a macOS icon", kConvert},
    Kind{0, "DDS "sv, "a DirectDraw surface (DDS)", kConvert},
    Kind{0, "qoif"sv, "a QOI image", kConvert},
    Kind{0, "gimp xcf"sv, "a GIMP document (XCF)", kConvert},
    Kind{0, "farbfeld"sv, "a farbfeld image", kConvert},
    Kind{0, "FUJIFILMCCD-RAW"sv, "a camera's raw file", kRaw},
    Kind{0, "IIRO"sv, "a camera's raw file", kRaw},
    Kind{0, "IIU\0"sv, "a camera's raw file", kRaw},
    Kind{4, "ftypcrx "sv, "a camera's raw file", kRaw},
    Kind{128, "DICM"sv, "a DICOM file", kConvert},
    Kind{0, "\x93NUMPY"sv, "a NumPy array", kConvert},
    Kind{0, "\x89HDF\r\n\x1A\n"sv, "an HDF5 file", "save the wanted image as PNG or JPEG"},
    Kind{0, "SIMPLE  ="sv, "a FITS file", "save the wanted image as PNG or JPEG"},
    Kind{0, "\x1A\x45\xDF\xA3"sv, "a Matroska or WebM video", kFrames},
    Kind{8, "AVI "sv, "an AVI video", kFrames},
    Kind{0, "FLV\1"sv, "a Flash video", kFrames},
    Kind{0, "OggS"sv, "an Ogg file", kFrames},
    Kind{0, "\0\0\1\xBA"sv, "an MPEG video", kFrames},
    Kind{0, "\0\0\1\xB3"sv, "an MPEG video", kFrames},
    Kind{0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"sv, "a Windows Media file", kFrames},
    Kind{4, "ftyp"sv, "a video (MP4 or QuickTime)", kFrames},
    Kind{4, "moov"sv, "a video (QuickTime)", kFrames},
    Kind{0, "PK\3\4"sv, "a ZIP archive", kUnpack},
    Kind{0, "\x1F\x8B"sv, "a gzip archive", kUnpack},
    Kind{0, "\xFD\x37zXZ"sv, "an xz archive", kUnpack},
    Kind{0, "\x28\xB5\x2F\xFD"sv, "a Zstandard archive", kUnpack},
    Kind{0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    Kind{0, "Rar!"sv, "a RAR archive", kUnpack},
    Kind{257, "ustar"sv, "a tar archive", kUnpack},
};

constexpr const char* kFetchPage =
    "the download gave it in place of the image: get the image itself";

/// Text files, told by the first letters behind blanks, in lower case.
constexpr std::array kTexts = {
    Kind{0, "version https://git-lfs"sv, "a Git LFS pointer",
         "fetch the image itself with 'git lfs pull'"},
    Kind{0, "<!doctype html"sv, "an HTML page", kFetchPage},
    Kind{0, "<html"sv, "an HTML page", kFetchPage},
    Kind{0, "<head"sv, "an HTML page", kFetchPage},
    Kind{0, "<svg"sv, "an SVG drawing", "save it as PNG"},
    Kind{0, "<!doctype svg"sv, "an SVG drawing", "save it as PNG"},
    Kind{0, "<?xml"sv, "an XML document", "name the image itself"},
    Kind{0, "<error"sv, "an XML document", kFetchPage},
    Kind{0, "{"sv, "a JSON document", kFetchPage},
    Kind{0, "["sv, "a JSON document", "name the image itself"},
};

/// The first letters in lower case, without a byte order mark and blanks in front of them.
std::string first_text(std::string_view text) {
  constexpr size_t kEnough = 1024;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::string start(text.substr(0, kEnough));
  std::ranges::transform(start, start.begin(), [](unsigned char c) {
    return static_cast<char>(c < 0x80 ? std::tolower(c) : c);
  });
  start.erase(0, std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  return start;
}

bool is_netpbm(std::string_view text) {
  return text.size() > 2 && text[0] == 'P' &&
         ((text[1] >= '1' && text[1] <= '7') || text[1] == 'F' || text[1] == 'f') &&
         std::isspace(static_cast<unsigned char>(text[2])) != 0;
}

bool is_plain_text(std::string_view text) {
  const std::string_view start = text.substr(0, 512);
  return std::ranges::all_of(
      start, [](unsigned char c) { return c >= 0x20 || c == '\t' || c == '\n' || c == '\r'; });
}

std::string sentence(const char* what, const char* way_out) {
  return std::string("is ") + what + ", which is not a supported image; " + way_out;
}

}  // namespace

ImageFormat find_image_format(std::span<const std::byte> bytes) {
  constexpr std::array kAvif = {"avif"sv, "avis"sv};
  constexpr std::array kHeic = {"heic"sv, "heix"sv, "heim"sv, "heis"sv, "hevc"sv,
                                "hevx"sv, "hevm"sv, "hevs"sv, "mif1"sv, "msf1"sv};
  const std::string_view text = text_of(bytes);
  if (text.starts_with("\xFF\xD8\xFF")) return ImageFormat::kJpeg;
  if (text.starts_with("\x89PNG\r\n\x1A\n")) return ImageFormat::kPng;
  if (text.starts_with("RIFF") && has_at(text, 8, "WEBP")) return ImageFormat::kWebp;
  if (text.starts_with("GIF87a") || text.starts_with("GIF89a")) return ImageFormat::kGif;
  if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv) || text.starts_with("II+\0"sv) ||
      text.starts_with("MM\0+"sv)) {
    return ImageFormat::kTiff;
  }
  if (has_any_brand(text, kAvif)) return ImageFormat::kAvif;
  if (has_any_brand(text, kHeic)) return ImageFormat::kHeic;
  return text.starts_with("BM") ? ImageFormat::kBmp : ImageFormat::kOther;
}

std::string describe_other_file(std::span<const std::byte> bytes) {
  const std::string_view text = text_of(bytes);
  if (text.empty()) return std::string("is empty; expected ") + kReadableFormats;
  for (const Kind& kind : kKinds) {
    if (has_at(text, kind.offset, kind.magic)) return sentence(kind.what, kind.way_out);
  }
  if (is_netpbm(text)) return sentence("a Netpbm image (PPM, PGM or PBM)", kConvert);
  const std::string start = first_text(text);
  // Drawings often begin as any XML document does.
  if (start.starts_with("<") && start.find("<svg") != std::string::npos) {
    return sentence("an SVG drawing", "save it as PNG");
  }
  for (const Kind& kind : kTexts) {
    if (start.starts_with(kind.magic)) return sentence(kind.what, kind.way_out);
  }
  if (is_plain_text(text)) {
    return sentence("a text file", "name an image, not a list of them or a note about it");
  }
  return "is not a supported image (" + std::to_string(bytes.size()) + " bytes); expected " +
         kReadableFormats;
}

}  // namespace sam3trt
