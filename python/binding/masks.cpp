#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "arrays.hpp"
#include "base/error.hpp"
#include "image/image.hpp"
#include "image/mask_cleanup.hpp"
#include "image/rle.hpp"
#include "parts.hpp"

namespace sam3trt::python {
namespace {

using Counts = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const uint32_t> span_of(const Counts& counts) { return {counts.data(), counts.size()}; }

/// Masks one after the other in memory that a numpy array of (N, H, W) bool then owns.
nb::object decode(const std::vector<Counts>& masks, int64_t height, int64_t width, bool one) {
  check_image_size(width, height, "mask");
  const auto pixels = static_cast<size_t>(height * width);
  std::unique_ptr<uint8_t[]> bytes;
  {
    const nb::gil_scoped_release release;
    bytes.reset(new uint8_t[std::max<size_t>(1, masks.size() * pixels)]);
    for (size_t i = 0; i < masks.size(); ++i) {
      const std::vector<uint8_t> mask = rle_decode(span_of(masks[i]), height, width);
      std::memcpy(bytes.get() + i * pixels, mask.data(), pixels);
    }
  }
  auto* data = reinterpret_cast<bool*>(bytes.get());  // 0 and 1
  const nb::capsule owner(bytes.release(),
                          [](void* pointer) noexcept { delete[] static_cast<uint8_t*>(pointer); });
  const size_t shape[] = {masks.size(), static_cast<size_t>(height), static_cast<size_t>(width)};
  return nb::cast(nb::ndarray<nb::numpy, bool>(data, one ? 2 : 3, shape + (one ? 1 : 0), owner));
}

using Mask = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

nb::object encode(const Mask& mask) {
  if (mask.dtype() != nb::dtype<bool>() && mask.dtype() != nb::dtype<uint8_t>()) {
    throw nb::type_error("mask: expected an array of bool or uint8");
  }
  const std::span pixels(static_cast<const uint8_t*>(mask.data()), mask.size());
  std::vector<uint32_t> counts;
  {
    const nb::gil_scoped_release release;
    counts = rle_counts(pixels, static_cast<int64_t>(mask.shape(0)),
                        static_cast<int64_t>(mask.shape(1)));
  }
  const size_t size = counts.size();
  return to_numpy(std::move(counts), {size});
}

using Plane = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

nb::object clean(const Plane& logits, int64_t max_area) {
  if (logits.shape(0) != logits.shape(1)) throw nb::type_error("logits: expected a square array");
  std::vector<float> values(logits.data(), logits.data() + logits.size());
  clean_mask(values, static_cast<int64_t>(logits.shape(0)), max_area);
  return to_numpy(std::move(values), {logits.shape(0), logits.shape(1)});
}

int64_t area(const Counts& counts) {
  int64_t sum = 0;
  for (size_t i = 1; i < counts.size(); i += 2) sum += counts.data()[i];
  return sum;
}

}  // namespace

void add_masks(nb::module_& module) {
  module.def(
      "decode_rle",
      [](const Counts& counts, int64_t height, int64_t width) {
        return decode({counts}, height, width, true);
      },
      nb::arg("counts").noconvert(), nb::arg("height"), nb::arg("width"),
      nb::sig("def decode_rle(counts: numpy.typing.NDArray[numpy.uint32], height: int, width: int) "
              "-> numpy.typing.NDArray[numpy.bool_]"),
      "The mask of COCO run lengths (uint32, by columns, beginning with outside) as bool (H, W).");
  module.def(
      "decode_rles",
      [](const std::vector<Counts>& masks, int64_t height, int64_t width) {
        return decode(masks, height, width, false);
      },
      nb::arg("counts").noconvert(), nb::arg("height"), nb::arg("width"),
      nb::sig("def decode_rles(counts: list[numpy.typing.NDArray[numpy.uint32]], height: int, "
              "width: int) -> numpy.typing.NDArray[numpy.bool_]"),
      "The masks of several run lengths as bool (N, H, W).");
  module.def("encode_rle", encode, nb::arg("mask").noconvert(),
             nb::sig("def encode_rle(mask: numpy.typing.NDArray[numpy.bool_]) -> "
                     "numpy.typing.NDArray[numpy.uint32]"),
             "The run lengths of a mask, bool or uint8 (H, W).");
  module.def("clean_logits", clean, nb::arg("logits").noconvert(), nb::arg("max_area"),
             "Square logits without holes and specks of at most so many pixels, a copy.");
  module.def("rle_area", area, nb::arg("counts").noconvert(), "Pixels inside.");
  module.def(
      "rle_to_string", [](const Counts& counts) { return rle_to_string(span_of(counts)); },
      nb::arg("counts").noconvert(),
      "COCO's compressed string of run lengths, as pycocotools writes it.");
  module.def(
      "string_to_rle",
      [](const std::string& text) {
        std::vector<uint32_t> counts = rle_from_string(text);
        const size_t size = counts.size();
        return to_numpy(std::move(counts), {size});
      },
      nb::arg("text"),
      nb::sig("def string_to_rle(text: str) -> numpy.typing.NDArray[numpy.uint32]"),
      "The run lengths of COCO's compressed string.");
}

}  // namespace sam3trt::python
