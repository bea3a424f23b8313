#include "images.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "arrays.hpp"
#include "base/error.hpp"
#include "parts.hpp"
#include "runtime/request.hpp"

namespace sam3trt::python {
namespace {

/// Where a pixel's channels are: steps between rows, columns and channels, in bytes.
struct Layout {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 1;
  int64_t row = 0;
  int64_t column = 0;
  int64_t channel = 1;
};

std::string shape_text(const AnyArray& array) {
  std::string text = "(";
  for (size_t i = 0; i < array.ndim(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

std::string dtype_text(const nb::dlpack::dtype& dtype) {
  const auto code = static_cast<nb::dlpack::dtype_code>(dtype.code);
  std::string text = "code " + std::to_string(dtype.code) + ", ";
  if (code == nb::dlpack::dtype_code::Int) text = "int";
  if (code == nb::dlpack::dtype_code::UInt) text = "uint";
  if (code == nb::dlpack::dtype_code::Float) text = "float";
  if (code == nb::dlpack::dtype_code::Bfloat) text = "bfloat";
  if (code == nb::dlpack::dtype_code::Complex) text = "complex";
  if (code == nb::dlpack::dtype_code::Bool) return "bool";
  return text + std::to_string(dtype.bits);
}

void check_dtype(const AnyArray& array) {
  const nb::dlpack::dtype dtype = array.dtype();
  if (dtype == nb::dtype<uint8_t>()) return;
  const std::string message = "image: expected an array of uint8 (0 to 255), found " +
                              dtype_text(dtype) +
                              "; convert it yourself, for example (255 * image).round().astype("
                              "'uint8') for floats of 0 to 1";
  throw nb::type_error(message.c_str());
}

[[noreturn]] void throw_shape(const AnyArray& array) {
  throw_bad_input(
      "image: expected an array of one image, of shape (height, width, 3), (3, height, width), "
      "(height, width, 4) or (height, width), found " +
      shape_text(array));
}

bool is_colour(size_t channels) { return channels == 3 || channels == 4; }

Layout layout_of(const AnyArray& array) {
  const auto size = [&](size_t i) { return static_cast<int64_t>(array.shape(i)); };
  if (array.ndim() == 2) return {size(0), size(1), 1, array.stride(0), array.stride(1), 1};
  if (array.ndim() != 3) throw_shape(array);
  if (is_colour(array.shape(2))) {
    return {size(0), size(1), size(2), array.stride(0), array.stride(1), array.stride(2)};
  }
  if (array.shape(0) == 3 || array.shape(0) == 4) {
    return {size(1), size(2), size(0), array.stride(1), array.stride(2), array.stride(0)};
  }
  throw_shape(array);
}

PixelFormat format_of(int64_t channels) {
  if (channels == 1) return PixelFormat::kGrey;
  return channels == 3 ? PixelFormat::kRgb : PixelFormat::kRgba;
}

/// Whether an ImageView can say it: pixels side by side, rows that go down without overlap.
bool is_interleaved(const Layout& layout) {
  return (layout.channels == 1 || layout.channel == 1) &&
         (layout.column == layout.channels || layout.width == 1) &&
         (layout.row >= layout.width * layout.channels || layout.height == 1);
}

ImageView view_of_layout(const AnyArray& array, const Layout& layout) {
  ImageView view;
  view.data = array.data();
  view.width = layout.width;
  view.height = layout.height;
  view.row_stride = layout.height == 1 ? 0 : layout.row;
  view.format = format_of(layout.channels);
  return view;
}

/// The pixels in rows of RGB; grey is repeated, alpha left out.
Image copy_of(const AnyArray& array, const Layout& layout) {
  Image image;
  image.width = layout.width;
  image.height = layout.height;
  image.rgb.resize(static_cast<size_t>(layout.width * layout.height) * 3);
  const auto* data = static_cast<const uint8_t*>(array.data());
  const int64_t channel = layout.channels == 1 ? 0 : layout.channel;
  uint8_t* out = image.rgb.data();
  for (int64_t y = 0; y < layout.height; ++y) {
    for (int64_t x = 0; x < layout.width; ++x) {
      const uint8_t* pixel = data + y * layout.row + x * layout.column;
      for (int64_t c = 0; c < 3; ++c) *out++ = pixel[c * channel];
    }
  }
  return image;
}

std::unique_ptr<InputImage> image_of_array(AnyArray array) {
  check_dtype(array);
  const Layout layout = layout_of(array);
  check_image_size(layout.width, layout.height, "image");
  const int device = array.device_type();
  const bool on_host = device == nb::device::cpu::value || device == nb::device::cuda_host::value;
  if (!on_host && device != nb::device::cuda::value && device != nb::device::cuda_managed::value) {
    throw_bad_input("image: an array on a device of DLPack's kind " + std::to_string(device) +
                    "; expected one on the CPU or on the model's CUDA device");
  }
  if (is_interleaved(layout)) {
    ImageView view = view_of_layout(array, layout);
    if (!on_host) {
      view.memory = MemoryKind::kDevice;
      // CU_STREAM_LEGACY: what the array's owner was told to make it wait for (intake.py).
      // NOLINTNEXTLINE(performance-no-int-to-ptr): a name that CUDA gives
      view.stream = reinterpret_cast<void*>(uintptr_t{1});
    }
    return std::make_unique<InputImage>(std::move(array), view);
  }
  if (!on_host) {
    throw_bad_input(
        "image: a CUDA array must be of shape (height, width, 3), (height, width, 4) or "
        "(height, width) with pixels side by side, found " +
        shape_text(array) +
        " in another order; make it so on the device, in torch with "
        ".permute(1, 2, 0).contiguous()");
  }
  const auto begin = std::chrono::steady_clock::now();
  Image image = copy_of(array, layout);
  const std::chrono::duration<double, std::milli> copying =
      std::chrono::steady_clock::now() - begin;
  return std::make_unique<InputImage>(std::move(image), copying.count());
}

nb::object pixels_of(const InputImage& image) {
  Image copy = to_image(image.view());
  return to_numpy(std::move(copy.rgb),
                  {static_cast<size_t>(copy.height), static_cast<size_t>(copy.width), 3});
}

template <typename Decode>
std::unique_ptr<InputImage> decoded(Decode decode) {
  const nb::gil_scoped_release release;
  const auto begin = std::chrono::steady_clock::now();
  Image image = decode();
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  return std::make_unique<InputImage>(std::move(image), time.count());
}

}  // namespace

void add_images(nb::module_& module) {
  nb::class_<InputImage>(module, "InputImage", "An image that Segmenter's methods take.")
      .def_static(
          "read", [](const std::string& path) { return decoded([&] { return read_image(path); }); },
          nb::arg("path"), "An image file, turned as its EXIF orientation says.")
      .def_static(
          "decode",
          [](const nb::bytes& data, const std::string& name) {
            const std::span bytes(static_cast<const std::byte*>(data.data()), data.size());
            return decoded([&] { return decode_image(bytes, name); });
          },
          nb::arg("data"), nb::arg("name"), "The bytes of an image file.")
      .def_static("of_array", image_of_array, nb::arg("array").noconvert(),
                  "An array of uint8 on the CPU, or a CUDA array or its DLPack capsule that was "
                  "made for the legacy default stream; read where it lies unless its pixels do not "
                  "lie side by side.")
      .def_prop_ro("width", [](const InputImage& self) { return self.view().width; })
      .def_prop_ro("height", [](const InputImage& self) { return self.view().height; })
      .def_prop_ro("shares_memory", &InputImage::shares_memory,
                   "Whether the array's own memory is read, without a copy.")
      .def("rgb", pixels_of, nb::sig("def rgb(self) -> numpy.typing.NDArray[numpy.uint8]"),
           "A copy of the pixels as the model gets them, (H, W, 3); not of a CUDA array.")
      .def_prop_ro("on_device", [](const InputImage& self) {
        return self.view().memory == MemoryKind::kDevice;
      });
}

}  // namespace sam3trt::python
