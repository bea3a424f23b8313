#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "compile/builder.hpp"
#include "long_work.hpp"
#include "model/export.hpp"
#include "parts.hpp"
#include "verify/verify_model.hpp"

namespace sam3trt::python {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> paths_of(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

std::vector<std::string> export_graphs(const std::string& checkpoint, const std::string& output,
                                       const std::string& component,
                                       const std::optional<std::string>& tokenizer,
                                       const std::optional<std::string>& semantics,
                                       const nb::object& progress) {
  std::vector<std::string> files;
  run_long_work(progress, [&](const std::stop_token& stop, const Report& report) {
    ExportRequest request{checkpoint, component, output, {}, {}};
    if (semantics) request.semantics = *semantics == "hf" ? Semantics::kHf : Semantics::kMeta;
    if (tokenizer) request.tokenizer = *tokenizer;
    request.stop = stop;
    request.progress = report;
    for (const fs::path& path : export_component(request)) files.push_back(path.string());
  });
  return files;
}

/// The verifier's part of a build or a verification.
VerifierOptions verifier_options(const std::vector<std::string>& images,
                                 const std::vector<std::string>& texts,
                                 const std::optional<std::string>& gate, const Report& report) {
  VerifierOptions options;
  options.images = paths_of(images);
  options.texts = texts;
  if (gate) options.gate = Gate::load(*gate);
  options.cache = user_cache_folder();
  options.progress = [report](int64_t done, int64_t all) {
    report("reference", all == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(all));
  };
  return options;
}

Precision precision_named(const std::string& name) {
  for (const Precision precision :
       {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
    if (name_of(precision) == name) return precision;
  }
  throw_bad_input("precision: expected 'fp32', 'fp16', 'bf16' or 'fp8', found '" + name + "'");
}

/// What build() of Python says, as it is named there (tools.py).
struct BuildArguments {
  std::string onnx;
  std::string output;
  std::string precision;
  std::string target;
  int compute_capability = 0;
  std::optional<std::string> recipes;
  std::optional<std::string> gate;
  std::vector<std::string> images;
  std::vector<std::string> texts;
  EngineLimits limits;
  int64_t workspace_megabytes = 0;
  int optimization_level = 3;
  bool verify = true;
  bool force = false;
};

BuildRequest request_of(const BuildArguments& arguments, const Report& report) {
  BuildRequest request;
  request.onnx = arguments.onnx;
  request.output = arguments.output;
  request.precision = precision_named(arguments.precision);
  request.target = arguments.target == "rtx" ? BuildTarget::kTensorRtRtx : BuildTarget::kTensorRt;
  request.compute_capability = arguments.compute_capability;
  if (arguments.recipes) request.recipes = RecipeBook::load(*arguments.recipes);
  request.limits = arguments.limits;
  request.workspace_bytes = static_cast<uint64_t>(arguments.workspace_megabytes) << 20U;
  request.optimization_level = arguments.optimization_level;
  request.verify = arguments.verify;
  request.force = arguments.force;
  request.verifier = verifier_options(arguments.images, arguments.texts, arguments.gate, report);
  for (const auto& file : {arguments.recipes, arguments.gate}) {
    if (file) request.also_read.emplace_back(*file);
  }
  return request;
}

std::string build(const BuildArguments& arguments, const nb::object& progress) {
  std::string outcome;
  run_long_work(progress, [&](const std::stop_token& stop, const Report& report) {
    BuildRequest request = request_of(arguments, report);
    request.verifier.stop = stop;
    BuildEvents events;
    events.progress = [&](const fs::path& engine, double done) {
      report(engine.filename().string(), done);
    };
    outcome = to_json(build_engines(request, events));
  });
  return outcome;
}

VerifyRequest request_of(const std::string& model, const std::optional<std::string>& reference) {
  VerifyRequest request;
  request.model = find_model_files(model, std::nullopt, {"model", "keep one model in the folder"});
  if (!reference && request.model.form == ModelForm::kGraphs) {
    throw_bad_input("model " + model +
                    ": holds graphs; name the folder of engines, or with reference= the graphs to "
                    "compare these with");
  }
  request.reference = find_model_files(reference.value_or(model), ModelForm::kGraphs,
                                       {"reference", "name a folder with one model"});
  return request;
}

std::string verify(const std::string& model, const std::optional<std::string>& reference,
                   const std::vector<std::string>& images, const std::vector<std::string>& texts,
                   int device, int threads, const std::optional<std::string>& recipes,
                   const std::optional<std::string>& gate, const nb::object& progress) {
  std::string outcome;
  run_long_work(progress, [&](const std::stop_token& stop, const Report& report) {
    VerifyRequest request = request_of(model, reference);
    request.verifier = verifier_options(images, texts, gate, report);
    request.verifier.device = device;
    request.verifier.threads = threads;
    request.verifier.stop = stop;
    if (recipes) request.recipes = RecipeBook::load(*recipes);
    outcome = to_json(verify_model(request));
  });
  return outcome;
}

void add_build(nb::module_& module) {
  nb::class_<EngineLimits>(module, "EngineLimits", "What engines take in one call.")
      .def(nb::init<>())
      .def_rw("images", &EngineLimits::images)
      .def_rw("prompts", &EngineLimits::prompts)
      .def_rw("tuned_images", &EngineLimits::tuned_images)
      .def_rw("tuned_prompts", &EngineLimits::tuned_prompts)
      .def_rw("boxes", &EngineLimits::boxes)
      .def_rw("masks", &EngineLimits::masks);
  nb::class_<BuildArguments>(module, "BuildArguments", "What sam3trt.build is asked for.")
      .def(nb::init<>())
      .def_rw("onnx", &BuildArguments::onnx)
      .def_rw("output", &BuildArguments::output)
      .def_rw("precision", &BuildArguments::precision)
      .def_rw("target", &BuildArguments::target)
      .def_rw("compute_capability", &BuildArguments::compute_capability)
      .def_rw("recipes", &BuildArguments::recipes, nb::arg().none())
      .def_rw("gate", &BuildArguments::gate, nb::arg().none())
      .def_rw("images", &BuildArguments::images)
      .def_rw("texts", &BuildArguments::texts)
      .def_rw("limits", &BuildArguments::limits)
      .def_rw("workspace_megabytes", &BuildArguments::workspace_megabytes)
      .def_rw("optimization_level", &BuildArguments::optimization_level)
      .def_rw("verify", &BuildArguments::verify)
      .def_rw("force", &BuildArguments::force);
  module.def("build", build, nb::arg("arguments"), nb::arg("progress").none(),
             "Builds and verifies engines; the report as JSON.");
}

}  // namespace

void add_tools(nb::module_& module) {
  module.def("export", export_graphs, nb::arg("checkpoint"), nb::arg("output"),
             nb::arg("component"), nb::arg("tokenizer").none(), nb::arg("semantics").none(),
             nb::arg("progress").none(), "Turns a checkpoint into graphs; the files written.");
  add_build(module);
  module.def("verify", verify, nb::arg("model"), nb::arg("reference").none(), nb::arg("images"),
             nb::arg("texts"), nb::arg("device"), nb::arg("threads"), nb::arg("recipes").none(),
             nb::arg("gate").none(), nb::arg("progress").none(),
             "Holds a model against the float32 graphs; the report as JSON.");
}

}  // namespace sam3trt::python
