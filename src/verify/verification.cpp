#include "verify/verification.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "verify/tensor_difference.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

double mean_square_length(std::span<const RecordedCall> calls, const std::string& output) {
  double total = 0;
  for (const RecordedCall& call : calls) {
    for (const float value : call.outputs.at(output).f32()) {
      total += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  return total / static_cast<double>(calls.size());
}

double square_length(const Tensor& tensor) {
  double total = 0;
  for (const float value : tensor.f32()) {
    total += static_cast<double>(value) * static_cast<double>(value);
  }
  return total;
}

void add_call(OutputDifference& total, const Tensor& reference, const Tensor* actual,
              double mean_square) {
  const bool comparable =
      actual != nullptr && actual->dtype() == DType::kF32 && actual->shape() == reference.shape();
  if (!comparable) {
    total = {0, 0, 1, false};
    return;
  }
  const TensorDifference difference = compare_tensors(reference.f32(), actual->f32());
  total.finite = total.finite && difference.finite;
  total.cosine = std::min(total.cosine, difference.cosine);
  total.largest_error = std::max(total.largest_error, difference.largest_error);
  const double own = square_length(reference);
  const double error_square =
      difference.relative_error * difference.relative_error * (own == 0 ? 1.0 : own);
  const double scale = mean_square == 0 ? 1.0 : mean_square;
  total.deviation = std::max(total.deviation, error_square / (2 * scale));
}

/// "1.2e-05"
std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2g", value);
  return text.data();
}

std::string cosine_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.7f", value);
  return text.data();
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

void check_limit(std::vector<std::string>& problems, bool wrong, const std::string& what,
                 double found, double limit) {
  if (wrong) problems.push_back(what + " " + number(found) + ", allowed " + number(limit));
}

}  // namespace

std::map<std::string, OutputDifference> measure_stage(std::span<const RecordedCall> calls,
                                                      Engine& engine) {
  if (calls.empty()) throw Error(ErrorCode::kInternal, "the reference has no call of this stage");
  std::map<std::string, OutputDifference> differences;
  std::map<std::string, double> mean_squares;
  for (const auto& [name, tensor] : calls.front().outputs) {
    mean_squares[name] = mean_square_length(calls, name);
  }
  for (const RecordedCall& call : calls) {
    TensorMap inputs;
    for (const auto& [name, tensor] : call.inputs) inputs[name] = &tensor;
    const auto outputs = engine.run(inputs);
    for (const auto& [name, reference] : call.outputs) {
      const auto found = outputs.find(name);
      add_call(differences[name], reference, found == outputs.end() ? nullptr : &found->second,
               mean_squares.at(name));
    }
  }
  return differences;
}

std::vector<OutputReport> verify_stage(const std::string& component,
                                       std::span<const RecordedCall> calls, Engine& engine,
                                       Precision precision, const Gate& gate,
                                       const MeasureYardstick& yardstick) {
  std::vector<OutputReport> reports;
  const auto judge = [&](OutputReport& report) {
    if (!report.difference.finite) return;
    report.verdict =
        gate.judge(precision, report.output, report.difference.deviation, report.yardstick);
  };
  for (const auto& [output, difference] : measure_stage(calls, engine)) {
    OutputReport report{component, output, difference, std::nullopt, OutputVerdict::kFailed};
    judge(report);
    reports.push_back(std::move(report));
  }
  const bool undecided = std::ranges::any_of(reports, [](const OutputReport& report) {
    return report.difference.finite && report.verdict != OutputVerdict::kPassed;
  });
  if (!undecided || !yardstick) return reports;
  const auto own = yardstick();
  for (OutputReport& report : reports) {
    const auto found = own.find(report.output);
    if (found != own.end() && found->second.finite) report.yardstick = found->second.deviation;
    judge(report);
  }
  return reports;
}

ResultReport verify_results(const ReferenceRun& reference, const FindInstances& find,
                            Precision precision, const Gate& gate) {
  const GateLimits& limits = gate.limits(precision);
  MatchOptions options;
  options.borderline_score = limits.borderline_score;
  std::vector<ImageRequest> requests;
  requests.reserve(reference.images.size());
  for (size_t i = 0; i < reference.images.size(); ++i) {
    requests.push_back({view_of(reference.images[i]), reference.prompts[i]});
  }
  const std::vector<ImageResult> results = find(requests);
  std::ranges::for_each(results, throw_if_failed);
  ResultReport report;
  for (size_t i = 0; i < reference.images.size(); ++i) {
    report.difference =
        combine(report.difference, compare_results(reference.results[i], results.at(i), options));
  }
  const InstanceDifference& found = report.difference;
  auto& problems = report.problems;
  if (found.lost > 0) problems.push_back(std::to_string(found.lost) + " instances are lost");
  if (found.gained > 0) problems.push_back(std::to_string(found.gained) + " instances are gained");
  check_limit(problems, found.smallest_mask_iou < limits.mask_iou, "mask IoU",
              found.smallest_mask_iou, limits.mask_iou);
  check_limit(problems, found.largest_score_error > limits.score_error, "score error",
              found.largest_score_error, limits.score_error);
  check_limit(problems, found.largest_presence_error > limits.score_error, "presence error",
              found.largest_presence_error, limits.score_error);
  check_limit(problems, found.largest_box_error > limits.box_error_pixels, "box error in pixels",
              found.largest_box_error, limits.box_error_pixels);
  return report;
}

void verify_objects(const ObjectRun& reference, const ObjectRun& actual, Precision precision,
                    const Gate& gate, ResultReport& report) {
  const GateLimits& limits = gate.limits(precision);
  auto& problems = report.problems;
  report.objects = compare_objects(reference.images, actual.images);
  check_limit(problems, report.objects->smallest_mask_iou < limits.mask_iou,
              "mask IoU of an object that was pointed at", report.objects->smallest_mask_iou,
              limits.mask_iou);
  check_limit(problems, report.objects->largest_score_error > limits.score_error,
              "score error of an object that was pointed at", report.objects->largest_score_error,
              limits.score_error);
  if (!reference.frames || !actual.frames) return;
  report.tracks = compare_tracks(*reference.frames, *actual.frames, limits.borderline_score);
  const TrackDifference& tracks = *report.tracks;
  if (tracks.lost + tracks.gained > 0) {
    problems.push_back("in the clip " + std::to_string(tracks.lost) + " objects are lost and " +
                       std::to_string(tracks.gained) + " gained, first on frame " +
                       std::to_string(tracks.first_difference));
  }
  for (size_t i = 0; i < tracks.mask_ious.size(); ++i) {
    check_limit(problems, tracks.mask_ious[i] < limits.mask_iou,
                "mean mask IoU of an object from frame " + std::to_string(10 * i) + " on",
                tracks.mask_ious[i], limits.mask_iou);
  }
  check_limit(problems, tracks.largest_score_error > limits.score_error,
              "score error of a tracked object", tracks.largest_score_error, limits.score_error);
}

bool ResultReport::has_instances() const {
  return difference.matched + difference.lost + difference.gained + difference.borderline > 0;
}

std::string_view verdict_of(const ResultReport& report) {
  if (!report.problems.empty()) return "failed";
  return report.has_instances() ? "passed" : "nothing compared";
}

namespace {

std::string instance_summary(const ResultReport& report) {
  const InstanceDifference& found = report.difference;
  if (!report.has_instances()) {
    return "0 instances compared: neither the reference nor the model finds any, and only "
           "presences could be held against each other (largest error " +
           number(found.largest_presence_error) +
           "); name images and texts in which this checkpoint finds something with --image and "
           "--text";
  }
  return std::to_string(found.matched) + " instances compared, mask IoU at least " +
         number(found.smallest_mask_iou) + ", score error up to " +
         number(found.largest_score_error) + ", box error up to " +
         number(found.largest_box_error) + " pixels";
}

std::string object_summary(const ResultReport& report) {
  std::string text;
  if (report.objects) {
    text += "; " + std::to_string(report.objects->masks) +
            " masks of clicks, boxes and masks compared, IoU at least " +
            number(report.objects->smallest_mask_iou) + ", score error up to " +
            number(report.objects->largest_score_error);
  }
  if (report.tracks) {
    const TrackDifference& tracks = *report.tracks;
    text += "; " + std::to_string(tracks.frames) + " frames tracked with " +
            std::to_string(tracks.matched) + " objects on them, mean IoU of ten frames at least " +
            number(std::ranges::min(tracks.mask_ious)) + ", score error up to " +
            number(tracks.largest_score_error);
  }
  return text;
}

}  // namespace

std::string summary(const ResultReport& report) {
  std::string text;
  for (const std::string& problem : report.problems) text += (text.empty() ? "" : "; ") + problem;
  return text.empty() ? instance_summary(report) + object_summary(report) : text;
}

bool passed(std::span<const OutputReport> reports) {
  return std::ranges::all_of(
      reports, [](const OutputReport& r) { return r.verdict == OutputVerdict::kPassed; });
}

std::string summary(std::span<const OutputReport> reports) {
  std::string problems;
  const OutputReport* worst = nullptr;
  for (const OutputReport& report : reports) {
    if (worst == nullptr || report.difference.deviation > worst->difference.deviation) {
      worst = &report;
    }
    if (report.verdict == OutputVerdict::kPassed) continue;
    problems +=
        (problems.empty() ? "" : "; ") + report.output + " of the " + report.component +
        (!report.difference.finite ? " is not finite or has another shape"
                                   : " deviates by " + number(report.difference.deviation) +
                                         " (cosine " + cosine_text(report.difference.cosine) + ")");
    if (report.verdict == OutputVerdict::kUndecidable) {
      problems += ", but rounding the weights alone changes it by " + number(*report.yardstick) +
                  ": this checkpoint cannot be judged at this precision, use --fp32";
    }
  }
  if (!problems.empty()) return problems;
  if (worst == nullptr) return "nothing was compared";
  return "largest deviation " + number(worst->difference.deviation) + " (" + worst->output + ")";
}

std::string to_table(std::span<const OutputReport> reports) {
  std::string table = padded("stage", 18) + padded("output", 24) + padded("cosine", 11) +
                      padded("largest error", 15) + padded("deviation", 11) +
                      padded("yardstick", 11) + "verdict\n";
  for (const OutputReport& report : reports) {
    table += padded(report.component, 18) + padded(report.output, 24) +
             padded(cosine_text(report.difference.cosine), 11) +
             padded(number(report.difference.largest_error), 15) +
             padded(number(report.difference.deviation), 11) +
             padded(report.yardstick ? number(*report.yardstick) : "-", 11) +
             std::string(name_of(report.verdict)) +
             (report.difference.finite ? "" : " (not finite)") + "\n";
  }
  return table;
}

std::string to_json(std::span<const OutputReport> reports) {
  Json list = Json::array();
  for (const OutputReport& report : reports) {
    Json entry = {{"component", report.component},
                  {"output", report.output},
                  {"cosine", report.difference.cosine},
                  {"largest_error", report.difference.largest_error},
                  {"deviation", report.difference.deviation},
                  {"finite", report.difference.finite},
                  {"verdict", name_of(report.verdict)}};
    if (report.yardstick) entry["yardstick"] = *report.yardstick;
    list.push_back(std::move(entry));
  }
  return list.dump();
}

std::string to_json(const ResultReport& report) {
  const InstanceDifference& found = report.difference;
  Json json{{"passed", report.problems.empty()},
            {"verdict", verdict_of(report)},
            {"problems", report.problems},
            {"matched", found.matched},
            {"lost", found.lost},
            {"gained", found.gained},
            {"borderline", found.borderline},
            {"smallest_mask_iou", found.smallest_mask_iou},
            {"largest_score_error", found.largest_score_error},
            {"largest_presence_error", found.largest_presence_error},
            {"largest_box_error", found.largest_box_error}};
  if (report.objects) {
    json["objects"] = {{"masks", report.objects->masks},
                       {"smallest_mask_iou", report.objects->smallest_mask_iou},
                       {"largest_score_error", report.objects->largest_score_error}};
  }
  if (report.tracks) {
    const TrackDifference& tracks = *report.tracks;
    json["tracks"] = {{"frames", tracks.frames},
                      {"matched", tracks.matched},
                      {"lost", tracks.lost},
                      {"gained", tracks.gained},
                      {"borderline", tracks.borderline},
                      {"mask_ious", tracks.mask_ious},
                      {"largest_score_error", tracks.largest_score_error}};
  }
  return json.dump();
}

}  // namespace sam3trt
