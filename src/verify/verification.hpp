#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/gate.hpp"
#include "verify/instance_difference.hpp"
#include "verify/object_difference.hpp"
#include "verify/object_run.hpp"
#include "verify/reference.hpp"

namespace sam3trt {

/// How far an engine's output is from the reference over all recorded calls.
struct OutputDifference {
  double cosine = 1;         ///< Of the worst call.
  double largest_error = 0;  ///< Of all elements.
  /// Largest over the calls of |a - r|^2 / (2 mean |r|^2), the mean taken over the calls. For
  /// vectors of one length this is 1 - cosine, but it sees a wrong scale too.
  double deviation = 0;
  bool finite = true;
};

/// One output of one stage.
struct OutputReport {
  std::string component;
  std::string output;
  OutputDifference difference;
  std::optional<double> yardstick;  ///< Deviation of the reference with rounded weights.
  OutputVerdict verdict = OutputVerdict::kFailed;
};

/// Gives `engine` the recorded inputs of a stage and compares its outputs. An engine that fails to
/// run throws what it throws.
[[nodiscard]] std::map<std::string, OutputDifference> measure_stage(
    std::span<const RecordedCall> calls, Engine& engine);

/// Measures the reference itself at the precision of the engine.
using MeasureYardstick = std::function<std::map<std::string, OutputDifference>()>;

/// measure_stage, judged. `yardstick` may be empty; it takes time, and is called only when an
/// output is beyond its limit.
[[nodiscard]] std::vector<OutputReport> verify_stage(const std::string& component,
                                                     std::span<const RecordedCall> calls,
                                                     Engine& engine, Precision precision,
                                                     const Gate& gate,
                                                     const MeasureYardstick& yardstick);

/// The whole model against the reference's instances.
struct ResultReport {
  InstanceDifference difference;
  std::optional<ObjectDifference> objects;  ///< Where the model takes clicks.
  std::optional<TrackDifference> tracks;    ///< Where the clip was tracked.
  std::vector<std::string> problems;        ///< Empty: passed.

  /// Whether there were instances to compare, on either side. Where there were none, only the
  /// presences of the prompts say anything.
  [[nodiscard]] bool has_instances() const;
};

/// "passed", "failed", or "nothing compared" for one without problems and without instances.
[[nodiscard]] std::string_view verdict_of(const ResultReport& report);

/// One line: how many instances were compared and how they differ, or the problems.
[[nodiscard]] std::string summary(const ResultReport& report);

/// What finds instances in pictures: a Session or a Segmenter. Results in the order of the
/// requests.
using FindInstances = std::function<std::vector<ImageResult>(std::span<const ImageRequest>)>;

/// All pictures of the reference at once, so that engines see as many together as they take.
[[nodiscard]] ResultReport verify_results(const ReferenceRun& reference, const FindInstances& find,
                                          Precision precision, const Gate& gate);

/// Adds to the report what the objects of a run show.
void verify_objects(const ObjectRun& reference, const ObjectRun& actual, Precision precision,
                    const Gate& gate, ResultReport& report);

/// True when all passed.
[[nodiscard]] bool passed(std::span<const OutputReport> reports);

/// One line that names the worst output, or what did not pass.
[[nodiscard]] std::string summary(std::span<const OutputReport> reports);

/// A table, one line per output.
[[nodiscard]] std::string to_table(std::span<const OutputReport> reports);

/// JSON text.
[[nodiscard]] std::string to_json(std::span<const OutputReport> reports);
[[nodiscard]] std::string to_json(const ResultReport& report);

}  // namespace sam3trt
