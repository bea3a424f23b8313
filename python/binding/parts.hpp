#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "sam3trt/error.hpp"

namespace sam3trt::python {

namespace nb = nanobind;

// Each adds its classes and functions to the module.
void add_images(nb::module_& module);
void add_segmenter(nb::module_& module);
void add_objects(nb::module_& module);
void add_video(nb::module_& module);
void add_frames(nb::module_& module);
void add_masks(nb::module_& module);
void add_tools(nb::module_& module);

/// The exception of sam3trt.errors that stands for the code, with that text.
[[nodiscard]] nb::object make_exception(ErrorCode code, const std::string& message);

}  // namespace sam3trt::python
