#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "base/error.hpp"
#include "images.hpp"
#include "messages.hpp"
#include "parts.hpp"
#include "results.hpp"
#include "runtime/model_files.hpp"
#include "runtime/request.hpp"
#include "runtime/run_each.hpp"
#include "session_pool.hpp"

namespace sam3trt::python {
namespace {

/// The words of a mask where they lie, as an array of `ceil(height / 32)` rows of `width`. int32,
/// because torch cannot shift uint32.
nb::object words_of(const DeviceMask& mask, int64_t height, int64_t width, int device) {
  using Words = nb::ndarray<nb::array_api, int32_t, nb::device::cuda>;
  auto kept = std::make_unique<std::shared_ptr<const void>>(mask.owner);
  const nb::capsule owner(kept.release(), [](void* pointer) noexcept {
    delete static_cast<std::shared_ptr<const void>*>(pointer);
  });
  const size_t shape[] = {static_cast<size_t>((height + 31) / 32), static_cast<size_t>(width)};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a device address
  auto* address = reinterpret_cast<void*>(static_cast<uintptr_t>(mask.address));
  return nb::cast(Words(address, 2, shape, owner, nullptr, nb::dtype<int32_t>(),
                        nb::device::cuda::value, device));
}

std::optional<ModelForm> form_named(const std::string& backend) {
  if (backend == "openvino") return ModelForm::kGraphs;
  if (backend == "tensorrt") return ModelForm::kEngines;
  return std::nullopt;
}

std::unique_ptr<SessionPool> load(const std::string& folder, const std::string& backend, int device,
                                  int threads, bool allow_unverified, size_t sessions) {
  const DeliverMessages delivery;
  const nb::gil_scoped_release release;
  const ModelFiles files =
      find_model_files(folder, form_named(backend), {"Segmenter", "keep one model in the folder"});
  return std::make_unique<SessionPool>(Model(files, {device, threads, allow_unverified}), device,
                                       sessions);
}

struct Settings {
  double threshold = 0.5;
  double mask_threshold = 0.5;
  bool device_masks = false;
};

DetectOptions options_of(const Settings& settings) {
  DetectOptions options;
  options.thresholds = {settings.threshold, settings.mask_threshold};
  if (settings.device_masks) options.masks = MaskOutput::kBoth;
  return options;
}

nb::object to_python(PromptResult& found, bool device_masks) {
  const size_t count = found.instances.size();
  std::vector<float> scores(count);
  std::vector<float> boxes(count * 4);
  std::vector<int64_t> areas(count);
  nb::list counts;
  nb::list device;
  for (size_t i = 0; i < count; ++i) {
    Instance& instance = found.instances[i];
    scores[i] = instance.score;
    std::copy(instance.box.begin(), instance.box.end(), boxes.begin() + static_cast<long>(4 * i));
    areas[i] = instance.area;
    const size_t runs = instance.counts.size();
    counts.append(to_numpy(std::move(instance.counts), {runs}));
    if (device_masks) device.append(nb::cast(instance.bits));
  }
  nb::list prompt_boxes;
  nb::list labels;
  for (const PromptBox& box : found.prompt.boxes) {
    prompt_boxes.append(nb::cast(std::vector<double>(box.box.begin(), box.box.end())));
    labels.append(box.positive ? 1 : 0);
  }
  nb::dict result;
  result["text"] = nb::cast(found.prompt.text);
  result["boxes"] = prompt_boxes;
  result["box_labels"] = labels;
  result["presence"] = found.presence;
  result["scores"] = to_numpy(std::move(scores), {count});
  result["boxes_xyxy"] = to_numpy(std::move(boxes), {count, 4});
  result["areas"] = to_numpy(std::move(areas), {count});
  result["counts"] = counts;
  if (device_masks) result["device_masks"] = device;
  return result;
}

nb::object to_python(ImageResult& image, bool device_masks) {
  nb::dict result = dict_of(image);
  if (image.error) return result;
  nb::list prompts;
  for (PromptResult& prompt : image.prompts) prompts.append(to_python(prompt, device_masks));
  result["prompts"] = prompts;
  return result;
}

nb::list to_python(std::vector<ImageResult>& images, bool device_masks) {
  nb::list results;
  for (ImageResult& image : images) results.append(to_python(image, device_masks));
  return results;
}

/// The library reads device memory where it is said to lie, so it must be that of the model's GPU.
void check_device(const SessionPool& pool, const InputImage& image) {
  if (!image.device()) return;
  const std::string where = "image: an array on cuda:" + std::to_string(*image.device());
  if (pool.model().backend() != "tensorrt") {
    throw_bad_input(where +
                    ", but this model runs on the CPU; bring it there, in torch with .cpu()");
  }
  if (*image.device() != pool.device()) {
    throw_bad_input(where + ", but the model is on cuda:" + std::to_string(pool.device()) +
                    "; bring it there, in torch with .to()");
  }
}

nb::list run(SessionPool& pool, const std::vector<InputImage*>& images,
             const std::vector<Prompt>& prompts, double threshold, double mask_threshold,
             bool device_masks) {
  const Settings settings{threshold, mask_threshold, device_masks};
  const DeliverMessages delivery;
  std::vector<ImageResult> results;
  {
    const nb::gil_scoped_release release;
    check_thresholds({threshold, mask_threshold});
    std::vector<ImageRequest> requests;
    requests.reserve(images.size());
    for (const InputImage* image : images) requests.push_back({image->view(), prompts});
    results = pool.with_session([&](Session& session) {
      return run_each(requests, [&](std::span<const ImageRequest> some) {
        return session.run(some, options_of(settings));
      });
    });
    for (size_t i = 0; i < results.size(); ++i) {
      results[i].timings_ms.decode = images[i]->decode_ms();
    }
  }
  return to_python(results, device_masks);
}

std::unique_ptr<Features> encode(SessionPool& pool, const std::vector<InputImage*>& images) {
  const DeliverMessages delivery;
  const nb::gil_scoped_release release;
  std::vector<ImageView> views;
  views.reserve(images.size());
  for (const InputImage* image : images) views.push_back(image->view());
  return pool.with_session(
      [&](Session& session) { return std::make_unique<Features>(session.encode(views)); });
}

nb::list detect(SessionPool& pool, const Features& features, const std::vector<Prompt>& prompts,
                double threshold, double mask_threshold, bool device_masks) {
  const Settings settings{threshold, mask_threshold, device_masks};
  const DeliverMessages delivery;
  std::vector<ImageResult> results;
  {
    const nb::gil_scoped_release release;
    const std::vector<std::span<const Prompt>> all(features.images(), prompts);
    results = pool.with_session(
        [&](Session& session) { return session.detect(features, all, options_of(settings)); });
  }
  return to_python(results, device_masks);
}

void add_prompt(nb::module_& module) {
  nb::class_<Prompt>(module, "Prompt", "What is looked for in an image.")
      .def(
          "__init__",
          [](Prompt* self, std::optional<std::string> text,
             const std::vector<std::array<double, 4>>& boxes, const std::vector<bool>& positive) {
            if (boxes.size() != positive.size()) {
              throw_bad_input("labels: expected one for each of " + std::to_string(boxes.size()) +
                              " boxes, found " + std::to_string(positive.size()));
            }
            new (self) Prompt{std::move(text), {}};
            for (size_t i = 0; i < boxes.size(); ++i) {
              self->boxes.push_back({boxes[i], positive[i]});
            }
          },
          nb::arg("text").none(), nb::arg("boxes"), nb::arg("positive"));
}

}  // namespace

void add_segmenter(nb::module_& module) {
  add_prompt(module);
  nb::class_<DeviceMask>(module, "DeviceMask", "A mask as bits in the memory of the model's GPU.")
      .def_ro("address", &DeviceMask::address, "CUdeviceptr of the words.")
      .def("words", words_of, nb::arg("height"), nb::arg("width"), nb::arg("device"),
           nb::sig("def words(self, height: int, width: int, device: int) -> object"),
           "int32 (ceil(height / 32), width) on that GPU, with __dlpack__; keeps the memory.");
  nb::class_<Features>(module, "Features", "What the vision encoder makes of images.")
      .def_prop_ro("images", &Features::images, "How many images they are of.")
      .def_prop_ro("size_bytes", &Features::size_bytes, "Memory of the device that they take.");
  nb::class_<SessionPool>(module, "Segmenter", "A model and its sessions.")
      .def(nb::new_(&load), nb::arg("folder"), nb::arg("backend"), nb::arg("device"),
           nb::arg("threads"), nb::arg("allow_unverified"), nb::arg("sessions"))
      .def("check_device", check_device, nb::arg("image"),
           "Raises BadInputError for an image on another device than the model's.")
      .def("run", run, nb::arg("images"), nb::arg("prompts"), nb::arg("threshold"),
           nb::arg("mask_threshold"), nb::arg("device_masks") = false)
      .def("encode", encode, nb::arg("images"), nb::keep_alive<0, 1>())
      .def("detect", detect, nb::arg("features"), nb::arg("prompts"), nb::arg("threshold"),
           nb::arg("mask_threshold"), nb::arg("device_masks") = false)
      .def_prop_ro("backend", [](const SessionPool& self) { return self.model().backend(); })
      .def_prop_ro("semantics",
                   [](const SessionPool& self) {
                     return std::string(semantics_name(self.model().semantics()));
                   })
      .def_prop_ro("verified", [](const SessionPool& self) { return self.model().verified(); })
      .def_prop_ro("max_images", [](const SessionPool& self) { return self.model().max_images(); })
      .def_prop_ro("max_boxes", [](const SessionPool& self) { return self.model().max_boxes(); })
      .def_prop_ro("device_memory",
                   [](const SessionPool& self) { return self.model().device_memory(); });
}

}  // namespace sam3trt::python
