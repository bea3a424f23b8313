#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "images.hpp"
#include "messages.hpp"
#include "parts.hpp"
#include "sam3trt/video.hpp"
#include "session_pool.hpp"
#include "tracking/object_input.hpp"

namespace sam3trt::python {
namespace {

VideoSession* open(const SessionPool& pool, std::optional<int64_t> hot_start, bool live,
                   std::optional<double> det_nms, std::optional<int64_t> fill_holes,
                   std::optional<size_t> max_objects, std::optional<int64_t> frames, bool logits) {
  const DeliverMessages delivery;
  const nb::gil_scoped_release release;
  TrackOptions options;
  options.hot_start = hot_start;
  options.live = live;
  options.det_nms = det_nms;
  options.fill_holes = fill_holes;
  options.max_objects = max_objects;
  options.frames = frames;
  options.logits = logits;
  return new VideoSession(pool.model(), options);
}

nb::dict to_python(TrackedObject& object) {
  const size_t runs = object.counts.size();
  nb::dict result;
  result["id"] = object.id;
  result["prompt"] = nb::cast(object.prompt);
  result["score"] = object.score;
  result["object_score"] = object.object_score;
  result["box"] = to_numpy(std::vector<float>(object.box.begin(), object.box.end()), {4});
  result["area"] = object.area;
  result["counts"] = to_numpy(std::move(object.counts), {runs});
  result["confirmed"] = object.confirmed;
  result["logits"] = logits_array(std::move(object.logits));
  return result;
}

nb::list to_python(std::vector<FrameResult>& frames) {
  nb::list results;
  for (FrameResult& frame : frames) {
    nb::list objects;
    for (TrackedObject& object : frame.objects) objects.append(to_python(object));
    nb::dict result;
    result["frame"] = frame.frame;
    result["width"] = frame.width;
    result["height"] = frame.height;
    result["objects"] = objects;
    results.append(result);
  }
  return results;
}

/// What `work` gives, which runs without the GIL.
template <typename Work>
auto without_gil(const Work& work) {
  const DeliverMessages delivery;
  const nb::gil_scoped_release release;
  return work();
}

nb::list step(VideoSession& session, const InputImage& image, int64_t frame) {
  auto results = without_gil([&] { return session.step(image.view(), frame); });
  return to_python(results);
}

nb::list finish(VideoSession& session) {
  auto results = without_gil([&] { return session.finish(); });
  return to_python(results);
}

}  // namespace

void add_video(nb::module_& module) {
  nb::class_<VideoSession>(module, "VideoSession",
                           "Follows objects through a video; one call at a time.")
      .def(nb::new_(&open), nb::arg("segmenter"), nb::arg("hot_start").none(), nb::arg("live"),
           nb::arg("det_nms").none(), nb::arg("fill_holes").none(), nb::arg("max_objects").none(),
           nb::arg("frames").none(), nb::arg("logits") = false)
      .def_static(
          "check_object", [](const ObjectPrompt& prompt) { check_object_prompt(prompt); },
          nb::arg("prompt"), "Raises BadInputError for what no frame of a video can take.")
      .def(
          "add_concept",
          [](VideoSession& self, const Prompt& prompt) { without_gil([&] { self.add(prompt); }); },
          nb::arg("prompt"))
      .def(
          "add_object",
          [](VideoSession& self, const ObjectPrompt& prompt, int64_t frame) {
            without_gil([&] { self.add(prompt, frame); });
          },
          nb::arg("prompt"), nb::arg("frame"))
      .def("step", step, nb::arg("image"), nb::arg("frame"),
           "One dictionary for each frame that is final now.")
      .def("finish", finish)
      .def(
          "remove", [](VideoSession& self, int64_t id) { without_gil([&] { self.remove(id); }); },
          nb::arg("id"))
      .def("reset", [](VideoSession& self) { without_gil([&] { self.reset(); }); })
      .def(
          "save",
          [](const VideoSession& self, const std::string& file) {
            without_gil([&] { self.save(file); });
          },
          nb::arg("file"))
      .def(
          "load",
          [](VideoSession& self, const std::string& file) {
            without_gil([&] { self.load(file); });
          },
          nb::arg("file"))
      .def_prop_ro("objects", [](const VideoSession& self) { return self.objects(); })
      .def_prop_ro("last_frame", [](const VideoSession& self) { return self.last_frame(); });
}

}  // namespace sam3trt::python
