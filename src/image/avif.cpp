#include <avif/avif.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "image/decoders.hpp"
#include "image/orientation.hpp"

namespace sam3trt {
namespace {

struct DestroyDecoder {
  void operator()(avifDecoder* decoder) const { avifDecoderDestroy(decoder); }
};

void check(avifResult result, const std::string& name) {
  if (result != AVIF_RESULT_OK) throw_undecodable(name, "AVIF", avifResultToString(result));
}

/// The EXIF orientation that means the same as the boxes irot (quarter turns to the left) and,
/// after it, imir (0 swaps top and bottom, 1 left and right).
int turned_orientation(const avifImage& image) {
  const bool is_turned = (image.transformFlags & AVIF_TRANSFORM_IROT) != 0;
  const size_t turns = is_turned ? image.irot.angle % 4U : 0U;
  if ((image.transformFlags & AVIF_TRANSFORM_IMIR) == 0) {
    constexpr std::array<int, 4> kTurned = {1, 8, 3, 6};
    return kTurned[turns];
  }
#if AVIF_VERSION >= 1000000
  const bool swaps_sides = image.imir.axis != 0;
#else
  const bool swaps_sides = image.imir.mode != 0;
#endif
  constexpr std::array<std::array<int, 4>, 2> kMirrored = {{{4, 5, 2, 7}, {2, 7, 4, 5}}};
  return kMirrored[swaps_sides ? 1 : 0][turns];
}

std::span<const std::byte> bytes_of(const avifRWData& data) {
  return std::as_bytes(std::span(data.data, data.size));
}

/// The boxes win over EXIF, which wins over XMP, as in Pillow's AvifImagePlugin.
int orientation_of(const avifImage& image) {
  OrientationMarks marks;
  const auto xmp = bytes_of(image.xmp);
  marks.exif = exif_orientation(bytes_of(image.exif));
  marks.xmp = xmp_orientation({reinterpret_cast<const char*>(xmp.data()), xmp.size()});
  const int turned = turned_orientation(image);
  if (turned != marks.exif.value_or(1)) return turned;
  return marks.value();
}

}  // namespace

Image decode_avif(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  const std::unique_ptr<avifDecoder, DestroyDecoder> decoder(avifDecoderCreate());
  if (decoder == nullptr) throw_undecodable(name, "AVIF", "out of memory");
  decoder->maxThreads = 1;
  // dav1d, the usual choice, prints what it thinks of damaged data. All decoders give equal pixels.
  if (avifCodecName(AVIF_CODEC_CHOICE_AOM, AVIF_CODEC_FLAG_CAN_DECODE) != nullptr) {
    decoder->codecChoice = AVIF_CODEC_CHOICE_AOM;
  }
  decoder->imageSizeLimit =
      static_cast<uint32_t>(std::min<int64_t>(max_pixels, decoder->imageSizeLimit));
  // As Pillow, which reads what common encoders left out.
  decoder->strictFlags &= ~uint32_t{AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED};
  check(avifDecoderSetIOMemory(decoder.get(), reinterpret_cast<const uint8_t*>(bytes.data()),
                               bytes.size()),
        name);
  check(avifDecoderParse(decoder.get()), name);
  // A few bytes can hold any number of equal pixels, so the length says nothing here.
  Image image = make_image(decoder->image->width, decoder->image->height, name, "AVIF", max_pixels,
                           max_pixels);
  check(avifDecoderNextImage(decoder.get()), name);
  if (decoder->image->width != image.width || decoder->image->height != image.height) {
    throw_undecodable(name, "AVIF", "its first frame has another size than the image");
  }
  avifRGBImage target;
  avifRGBImageSetDefaults(&target, decoder->image);
  target.depth = 8;
  std::vector<uint8_t> with_alpha;
  if (decoder->alphaPresent != AVIF_FALSE) {
    target.format = AVIF_RGB_FORMAT_RGBA;
    with_alpha.resize(image.rgb.size() / 3 * 4);
    target.pixels = with_alpha.data();
    target.rowBytes = static_cast<uint32_t>(image.width * 4);
  } else {
    target.format = AVIF_RGB_FORMAT_RGB;
    target.pixels = image.rgb.data();
    target.rowBytes = static_cast<uint32_t>(image.width * 3);
  }
  check(avifImageYUVToRGB(decoder->image, &target), name);
  for (size_t i = 0; i < with_alpha.size() / 4; ++i) {
    std::copy_n(with_alpha.data() + i * 4, 3, image.rgb.data() + i * 3);
  }
  return apply_orientation(std::move(image), orientation_of(*decoder->image));
}

}  // namespace sam3trt
