#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "images.hpp"
#include "messages.hpp"
#include "parts.hpp"
#include "video/frame_source.hpp"

namespace sam3trt::python {
namespace {

std::unique_ptr<FrameSource> open(const std::string& source, bool backward,
                                  std::optional<int64_t> first) {
  const DeliverMessages delivery;
  const nb::gil_scoped_release release;
  return open_video(source, "video", {backward, first});
}

/// Its index and the frame, or the error of one that cannot be read; None at the end.
nb::object next(FrameSource& source) {
  const DeliverMessages delivery;
  std::optional<VideoFrame> frame;
  {
    const nb::gil_scoped_release release;
    frame = source.next();
  }
  if (!frame) return nb::none();
  if (frame->error) {
    return nb::make_tuple(frame->index, make_exception(ErrorCode::kBadInput, *frame->error));
  }
  return nb::make_tuple(frame->index, std::make_unique<InputImage>(std::move(frame->image), 0));
}

}  // namespace

void add_frames(nb::module_& module) {
  nb::class_<FrameSource>(module, "FrameSource", "The frames of a video, one after the other.")
      .def(nb::new_(&open), nb::arg("source"), nb::arg("backward"), nb::arg("first").none())
      .def("next", next)
      .def_prop_ro("width", [](const FrameSource& self) { return self.info().width; })
      .def_prop_ro("height", [](const FrameSource& self) { return self.info().height; })
      .def_prop_ro("frames", [](const FrameSource& self) { return self.info().frames; })
      .def_prop_ro("fps", [](const FrameSource& self) { return self.info().fps; });
}

}  // namespace sam3trt::python
