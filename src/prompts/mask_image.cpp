#include "prompts/mask_image.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

using Colour = std::array<uint8_t, 3>;
constexpr Colour kBlack = {0, 0, 0};

struct Colours {
  std::vector<Colour> first;  ///< Up to three different ones.
  bool grey = true;
  int brightest = 0;
};

Colours colours_of(const Image& image) {
  Colours colours;
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    const Colour colour = {image.rgb[i], image.rgb[i + 1], image.rgb[i + 2]};
    colours.grey = colours.grey && colour[0] == colour[1] && colour[1] == colour[2];
    colours.brightest = std::max<int>(colours.brightest, colour[0]);
    if (colours.first.size() < 3 &&
        std::ranges::find(colours.first, colour) == colours.first.end()) {
      colours.first.push_back(colour);
    }
  }
  return colours;
}

}  // namespace

ObjectMask mask_of_image(const Image& image, const std::string& name) {
  const Colours colours = colours_of(image);
  const bool has_black = std::ranges::find(colours.first, kBlack) != colours.first.end();
  const bool two = colours.first.size() <= 2 && (has_black || colours.first.size() == 1);
  if (!two && !colours.grey) {
    throw_bad_input(name +
                    ": is not a mask: expected a grey or 1-bit image, white inside and black "
                    "outside, found several colours");
  }
  if (!two && colours.brightest < 128) {
    throw_bad_input(name +
                    ": is not a mask of one object: expected black and one other value, or greys "
                    "up to 255, found several values below 128; write one file for each object");
  }
  std::vector<uint8_t> inside(image.rgb.size() / 3);
  for (size_t i = 0; i < inside.size(); ++i) {
    const uint8_t* pixel = image.rgb.data() + 3 * i;
    inside[i] = two ? (pixel[0] | pixel[1] | pixel[2]) != 0 : pixel[0] > 127;
  }
  if (std::ranges::find(inside, 1) == inside.end()) {
    throw_bad_input(name + ": is an empty mask: every pixel is black, expected white ones inside");
  }
  return {image.width, image.height, rle_counts(inside, image.height, image.width)};
}

ObjectMask read_mask_image(const std::filesystem::path& path) {
  return mask_of_image(read_image(path), path.string());
}

}  // namespace sam3trt
