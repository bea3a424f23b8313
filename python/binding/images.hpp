#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <utility>

#include "image/image.hpp"
#include "sam3trt/image_view.hpp"

namespace sam3trt::python {

namespace nb = nanobind;

using AnyArray = nb::ndarray<nb::ro>;

/// An image that a call can take: pixels of its own, or those of an array that it keeps alive.
class InputImage {
 public:
  explicit InputImage(Image image, double decode_ms)
      : image_(std::move(image)), decode_ms_(decode_ms) {
    view_ = view_of(image_);
  }
  /// Of an array whose pixels are read where they lie.
  InputImage(AnyArray array, const ImageView& view) : array_(std::move(array)), view_(view) {
    if (view.memory == MemoryKind::kDevice) device_ = array_.device_id();
  }
  InputImage(const InputImage&) = delete;
  InputImage& operator=(const InputImage&) = delete;

  [[nodiscard]] const ImageView& view() const { return view_; }
  /// The GPU that holds the pixels, if one does.
  [[nodiscard]] const std::optional<int>& device() const { return device_; }
  [[nodiscard]] double decode_ms() const { return decode_ms_; }

  /// Whether the pixels are those of the array that was given.
  [[nodiscard]] bool shares_memory() const { return array_.is_valid(); }

 private:
  Image image_;
  AnyArray array_;
  ImageView view_;
  std::optional<int> device_;
  double decode_ms_ = 0;
};

}  // namespace sam3trt::python
