#include "verify/published_run.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>

#include "base/error.hpp"
#include "base/stop.hpp"
#include "segmenter/engines.hpp"
#include "segmenter/segmenter.hpp"
#include "verify/recording_engine.hpp"
#include "verify/verify_model.hpp"

namespace sam3trt {
namespace {

using Calls = std::map<std::string, std::vector<RecordedCall>>;

void check_model(const PublishedTable& table, const ModelFiles& model) {
  const std::string where = model.at(Component::kDetector).string();
  const ModelConfig& config = model.config;
  if (config.image_size != table.image_size || config.num_queries != table.num_queries) {
    throw_bad_input(where + ": is not of " + table.checkpoint + ", whose results were published: " +
                    "expected images of " + std::to_string(table.image_size) + " pixels and " +
                    std::to_string(table.num_queries) + " queries, found " +
                    std::to_string(config.image_size) + " and " +
                    std::to_string(config.num_queries));
  }
  if (semantics_name(model.semantics) != table.semantics) {
    throw_bad_input(where + ": has the semantics " + std::string(semantics_name(model.semantics)) +
                    ", but the published results " + "are those of " + table.semantics +
                    "; export with --semantics " + table.semantics);
  }
}

/// The prompt alone, with what went through the components.
class RawRun {
 public:
  RawRun(const ModelFiles& model, const LoadOptions& load) : model_(load_model(model, load)) {
    SessionEngines engines = std::move(model_.engines);
    for (const Component component : {Component::kDetector, Component::kMaskHead}) {
      engines.set(component, std::make_unique<RecordingEngine>(
                                 engines.take(component), calls_[std::string(name_of(component))]));
    }
    session_ = std::make_unique<CpuSession>(std::move(engines), Tokenizer::load(model.tokenizer),
                                            model.config, model.semantics, model_.limits);
  }

  [[nodiscard]] PromptResult run(const Image& image, const PublishedCase& published) {
    for (auto& [component, calls] : calls_) calls.clear();
    const Prompt prompt = published.prompt;
    ImageResult result = session_->run(image, std::span(&prompt, 1), {published.threshold, 0.5});
    if (result.error) throw Error(ErrorCode::kInternal, *result.error);
    return std::move(result.prompts.at(0));
  }

  [[nodiscard]] const RecordedCall& detector() const { return calls_.at("detector").at(0); }

  /// Rows and columns 0 to 2 of the query's mask; empty when its mask was not asked for.
  [[nodiscard]] std::vector<double> mask_corner(int64_t query) const {
    for (const RecordedCall& call : calls_.at("mask_head")) {
      const auto queries = call.inputs.at("query_index").i64();
      const auto found = std::ranges::find(queries, query);
      if (found == queries.end()) continue;
      const Tensor& masks = call.outputs.at("pred_masks");
      const auto width = static_cast<size_t>(masks.dim(3));
      const auto begin =
          static_cast<size_t>(found - queries.begin()) * static_cast<size_t>(masks.dim(2)) * width;
      std::vector<double> corner;
      for (size_t row = 0; row < 3; ++row) {
        for (size_t column = 0; column < 3; ++column) {
          corner.push_back(masks.f32()[begin + row * width + column]);
        }
      }
      return corner;
    }
    return {};
  }

 private:
  HostModel model_;  // outlives the session: the GPU and the library are its
  Calls calls_;
  std::unique_ptr<CpuSession> session_;
};

double distance(std::span<const double> expected, std::span<const float> box) {
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) sum += std::abs(expected[i] - static_cast<double>(box[i]));
  return sum;
}

double sigmoid_of(float logit) { return 1 / (1 + std::exp(-static_cast<double>(logit))); }

/// The queries by falling logit.
std::vector<int64_t> ranked(std::span<const float> logits) {
  std::vector<int64_t> queries(logits.size());
  std::iota(queries.begin(), queries.end(), int64_t{0});
  std::ranges::stable_sort(queries, std::ranges::greater(),
                           [&](int64_t query) { return logits[static_cast<size_t>(query)]; });
  return queries;
}

/// The best query. Where others score the same within `tolerance`, rounding decides which comes
/// first, and the one with the published box is taken.
int64_t best_query(const PublishedCase& published, std::span<const float> logits,
                   std::span<const float> boxes, double tolerance) {
  const std::vector<int64_t> queries = ranked(logits);
  const auto box = published.expected.find("best_box");
  if (box == published.expected.end()) return queries.front();
  const double best = sigmoid_of(logits[static_cast<size_t>(queries.front())]);
  int64_t chosen = queries.front();
  double nearest = std::numeric_limits<double>::infinity();
  for (const int64_t query : queries) {
    const auto index = static_cast<size_t>(query);
    if (best - sigmoid_of(logits[index]) > tolerance) break;
    const double own = distance(box->second, boxes.subspan(index * 4, 4));
    if (own >= nearest) continue;
    nearest = own;
    chosen = query;
  }
  return chosen;
}

void add_instance(const PublishedCase& published, const PromptResult& result, NamedNumbers& found) {
  const auto box = published.expected.find("instance_box");
  const Instance* chosen = nullptr;
  for (const Instance& instance : result.instances) {
    const bool nearer = chosen == nullptr ||
                        (box != published.expected.end() &&
                         distance(box->second, instance.box) < distance(box->second, chosen->box));
    if (nearer) chosen = &instance;
  }
  if (chosen == nullptr) return;
  found["instance_score"] = {chosen->score};
  found["instance_box"] = {chosen->box.begin(), chosen->box.end()};
}

/// The names of the kind "concept".
NamedNumbers measure_concept(const PublishedCase& published, const RawRun& run, double tolerance) {
  const auto logits = run.detector().outputs.at("pred_logits").f32();
  const auto boxes = run.detector().outputs.at("pred_boxes").f32();
  NamedNumbers found;
  for (const int64_t query : ranked(logits)) {
    const float logit = logits[static_cast<size_t>(query)];
    found["logits"].push_back(logit);
    found["scores"].push_back(sigmoid_of(logit));
  }
  const int64_t best = best_query(published, logits, boxes, tolerance);
  const auto box = boxes.subspan(static_cast<size_t>(best) * 4, 4);
  found["best_box"] = {box.begin(), box.end()};
  found["best_mask_logits"] = run.mask_corner(best);
  return found;
}

}  // namespace

bool PublishedOutcome::passed() const { return std::ranges::all_of(values, &PublishedValue::ok); }

PublishedOutcome run_published(const PublishedTable& table, const ModelFiles& model,
                               const PublishedOptions& options) {
  check_model(table, model);
  std::map<std::string, Image> images;  // before anything is loaded
  for (const PublishedCase& published : table.cases) {
    throw_if_stopped(options.stop, "the verification");
    if (images.contains(published.image)) continue;
    images[published.image] = read_published_image(table, published.image, options.images);
  }
  PublishedOutcome outcome;
  outcome.precision = precision_of(model);
  const bool engines = model.form == ModelForm::kEngines;
  outcome.backend = engines ? "tensorrt" : "openvino";
  const auto& tolerances = table.tolerances.at(outcome.precision);
  const auto tolerance = tolerances.find("scores");
  const LoadOptions load{
      .device = options.device, .threads = options.threads, .allow_unverified = true};
  std::vector<NamedNumbers> found;
  {
    RawRun run(model, load);
    for (const PublishedCase& published : table.cases) {
      throw_if_stopped(options.stop, "the verification");
      if (options.progress) options.progress(published.name);
      const PromptResult result = run.run(images.at(published.image), published);
      found.push_back(
          measure_concept(published, run, tolerance == tolerances.end() ? 0 : tolerance->second));
      if (!engines) add_instance(published, result, found.back());
    }
  }
  if (engines) {
    Segmenter segmenter(model, load);
    for (size_t i = 0; i < table.cases.size(); ++i) {
      throw_if_stopped(options.stop, "the verification");
      const PublishedCase& published = table.cases[i];
      const ImageResult result = segmenter.run(
          images.at(published.image), std::span(&published.prompt, 1), {published.threshold, 0.5});
      if (result.error) throw Error(ErrorCode::kInternal, *result.error);
      add_instance(published, result.prompts.at(0), found[i]);
    }
  }
  for (size_t i = 0; i < table.cases.size(); ++i) {
    std::ranges::move(compare_published(table.cases[i], found[i], tolerances),
                      std::back_inserter(outcome.values));
  }
  return outcome;
}

}  // namespace sam3trt
