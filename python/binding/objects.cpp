#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "base/error.hpp"
#include "image/rle.hpp"
#include "images.hpp"
#include "messages.hpp"
#include "parts.hpp"
#include "results.hpp"
#include "session_pool.hpp"

namespace sam3trt::python {
namespace {

using Mask = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

ObjectMask mask_of(const Mask& mask) {
  if (mask.dtype() != nb::dtype<bool>() && mask.dtype() != nb::dtype<uint8_t>()) {
    throw nb::type_error("mask: expected an array of bool or uint8");
  }
  ObjectMask result{static_cast<int64_t>(mask.shape(1)), static_cast<int64_t>(mask.shape(0)), {}};
  const std::span pixels(static_cast<const uint8_t*>(mask.data()), mask.size());
  result.counts = rle_counts(pixels, result.height, result.width);
  return result;
}

ObjectPrompt prompt_of(int64_t id, const std::vector<std::array<double, 2>>& points,
                       const std::vector<bool>& positive,
                       const std::optional<std::array<double, 4>>& box,
                       const std::optional<Mask>& mask, const std::optional<Logits>& previous,
                       size_t padding) {
  if (points.size() != positive.size()) {
    throw_bad_input("labels: expected one for each of " + std::to_string(points.size()) +
                    " points, found " + std::to_string(positive.size()));
  }
  ObjectPrompt prompt;
  prompt.id = id;
  for (size_t i = 0; i < points.size(); ++i) {
    prompt.points.push_back({points[i][0], points[i][1], positive[i]});
  }
  prompt.points.resize(points.size() + padding, {.padding = true});
  prompt.box = box;
  if (mask) prompt.mask = mask_of(*mask);
  if (previous) {
    prompt.previous = MaskLogits{static_cast<int64_t>(previous->shape(0)),
                                 {previous->data(), previous->data() + previous->size()}};
  }
  return prompt;
}

nb::dict to_python(ObjectResult& object) {
  nb::list candidates;
  for (MaskCandidate& candidate : object.candidates) {
    const size_t runs = candidate.counts.size();
    nb::dict one;
    one["score"] = candidate.score;
    one["area"] = candidate.area;
    one["counts"] = to_numpy(std::move(candidate.counts), {runs});
    one["logits"] = logits_array(std::move(candidate.logits));
    candidates.append(one);
  }
  const size_t runs = object.counts.size();
  nb::dict result;
  result["id"] = object.id;
  result["score"] = object.score;
  result["object_score"] = object.object_score;
  result["box"] = to_numpy(std::vector<float>(object.box.begin(), object.box.end()), {4});
  result["area"] = object.area;
  result["counts"] = to_numpy(std::move(object.counts), {runs});
  result["candidates"] = candidates;
  result["logits"] = logits_array(std::move(object.logits));
  return result;
}

nb::dict to_python(ImageResult& image) {
  nb::dict result = dict_of(image);
  nb::list found;
  for (ObjectResult& object : image.objects) found.append(to_python(object));
  if (!image.error) result["objects"] = found;
  return result;
}

/// One dictionary for each image of the features; all get the same objects.
nb::list interact(SessionPool& pool, const Features& features,
                  const std::vector<ObjectPrompt>& objects, const InteractOptions& options) {
  const DeliverMessages delivery;
  std::vector<ImageResult> results;
  {
    const nb::gil_scoped_release release;
    const std::vector<std::span<const ObjectPrompt>> all(features.images(), objects);
    results = pool.with_session(
        [&](Session& session) { return session.interact(features, all, options); });
  }
  nb::list list;
  for (ImageResult& image : results) list.append(to_python(image));
  return list;
}

nb::dict everything(SessionPool& pool, const InputImage& image, int64_t points_per_side,
                    double min_iou, double min_stability, double box_nms) {
  const DeliverMessages delivery;
  std::vector<ImageResult> results;
  {
    const nb::gil_scoped_release release;
    ImageRequest request{image.view(), {}};
    request.everything = {points_per_side, min_iou, min_stability, box_nms};
    results = pool.with_session([&](Session& session) { return session.run({&request, 1}); });
  }
  return to_python(results.front());
}

}  // namespace

void add_objects(nb::module_& module) {
  nb::class_<ObjectPrompt>(module, "ObjectPrompt", "What points at one object.")
      .def(nb::new_([](int64_t id, const std::vector<std::array<double, 2>>& points,
                       const std::vector<bool>& positive,
                       const std::optional<std::array<double, 4>>& box,
                       const std::optional<Mask>& mask, const std::optional<Logits>& previous,
                       size_t padding) {
             return new ObjectPrompt(prompt_of(id, points, positive, box, mask, previous, padding));
           }),
           nb::arg("id"), nb::arg("points"), nb::arg("positive"), nb::arg("box").none(),
           nb::arg("mask").noconvert().none(), nb::arg("previous").noconvert().none(),
           nb::arg("padding") = 0,
           "Pixels of the image; mask bool or uint8 (H, W); previous float32 (side, side).")
      .def_ro("id", &ObjectPrompt::id);
  module.def(
      "interact",
      [](SessionPool& pool, const Features& features, const std::vector<ObjectPrompt>& objects,
         bool multimask, bool logits, bool candidate_logits) {
        return interact(pool, features, objects, {multimask, logits, candidate_logits});
      },
      nb::arg("segmenter"), nb::arg("features"), nb::arg("objects"), nb::arg("multimask"),
      nb::arg("logits"), nb::arg("candidate_logits") = false,
      "What is pointed at in each image of the features, which must be of this model.");
  module.def("everything", everything, nb::arg("segmenter"), nb::arg("image"),
             nb::arg("points_per_side"), nb::arg("min_iou"), nb::arg("min_stability"),
             nb::arg("box_nms"), "Whatever is in an image, by a grid of clicks.");
}

}  // namespace sam3trt::python
