#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <string>

#include "image/image.hpp"
#include "sam3trt/image_view.hpp"

namespace sam3trt::python {

namespace nb = nanobind;

using AnyArray = nb::ndarray<nb::ro>;

/// An image that a call can take: pixels of its own, or those of an array that it keeps alive.
class Picture {
 public:
  explicit Picture(Image image, double decode_ms)
      : image_(std::move(image)), decode_ms_(decode_ms) {
    view_ = view_of(image_);
  }
  /// Of an array whose pixels are read where they lie.
  Picture(AnyArray array, const ImageView& view) : array_(std::move(array)), view_(view) {}
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;

  [[nodiscard]] const ImageView& view() const { return view_; }
  [[nodiscard]] double decode_ms() const { return decode_ms_; }

  /// Whether the pixels are those of the array that was given.
  [[nodiscard]] bool shares_memory() const { return array_.is_valid(); }

 private:
  Image image_;
  AnyArray array_;
  ImageView view_;
  double decode_ms_ = 0;
};

}  // namespace sam3trt::python
