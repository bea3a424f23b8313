#include "infer_job.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "jobs/image_pipeline.hpp"
#include "jobs/image_source.hpp"
#include "jobs/job_documents.hpp"
#include "model_runners.hpp"
#include "progress.hpp"
#include "runtime/prompt.hpp"
#include "runtime/run_each.hpp"
#include "stop_signals.hpp"
#include "tracking/image_objects.hpp"
#include "worker_process.hpp"

namespace sam3trt {
namespace {

/// So many images in a row on which the model fails, for no fault of theirs, end the job.
constexpr size_t kMaxFailuresInARow = 16;

void print_summary(const ImageResult& image) {
  for (const PromptResult& prompt : image.prompts) {
    std::cout << image.path << ": "
              << (prompt.prompt.text ? "'" + *prompt.prompt.text + "'" : "boxes") << ": "
              << prompt.instances.size()
              << (prompt.instances.size() == 1 ? " instance\n" : " instances\n");
  }
  for (const ObjectResult& object : image.objects) {
    std::cout << image.path << ": object " << object.id << ": " << object.area
              << (object.area == 1 ? " pixel\n" : " pixels\n");
  }
}

/// Says what failed, and makes that the program's exit code: 1 for what should not happen, else 2.
void report_error(const ImageResult& image, CommandContext& context) {
  if (!image.error) return;
  std::cerr << "sam3trt: error: " << (image.error->starts_with(image.path) ? "" : image.path + ": ")
            << *image.error << "\n";
  if (context.exit_code != 1) {
    context.exit_code = image.error_code == ErrorCode::kBadInput ? 2 : 1;
  }
}

/// Hands results on in their order. Results of a model that fails on one image after another are
/// held back: that is a defect of the GPU or the program, which must not become the images' result.
class ResultSink {
 public:
  ResultSink(InferJob& job, CommandContext& context, WorkerProgress& progress, size_t images)
      : job_(job), context_(context), progress_(progress), bar_("images", images) {}

  void write(PipelineImage& image) {
    bar_.advance();
    const bool failed =
        image.ran && image.result.error && image.result.error_code == ErrorCode::kInternal;
    if (!failed) {
      write_held();
      return write_now(image);
    }
    held_.push_back({image.index, {}, {}, std::move(image.result), true, std::move(image.line)});
    if (held_.size() < kMaxFailuresInARow) return;
    throw Error(ErrorCode::kInternal,
                "the last " + std::to_string(held_.size()) +
                    " images failed one after the other: " + *held_.back().result.error);
  }

  void end() { write_held(); }

 private:
  void write_held() {
    for (PipelineImage& image : held_) write_now(image);
    held_.clear();
  }

  void write_now(PipelineImage& image) {
    job_.output.add(image.line);
    progress_.written = image.index + 1;
    if (image.result.error) bar_.clear();
    report_error(image.result, context_);
    if (job_.summary) print_summary(image.result);
  }

  InferJob& job_;
  CommandContext& context_;
  WorkerProgress& progress_;
  ProgressBar bar_;
  std::deque<PipelineImage> held_;
};

void load_image(PipelineImage& image, const ImageAsk& ask, int64_t mask_side) {
  const auto begin = std::chrono::steady_clock::now();
  keep_error(image.result, [&] {
    auto pixels = std::make_shared<Image>(decode_image_file(image.file));
    for (const Prompt& prompt : ask.prompts) check_boxes(prompt, pixels->width, pixels->height);
    check_image_objects({{pixels->width, pixels->height}, ask.objects}, mask_side);
    image.pixels = std::move(pixels);
  });
  const std::chrono::duration<double, std::milli> decoding =
      std::chrono::steady_clock::now() - begin;
  image.result.timings_ms.decode = decoding.count();
}

void finish_image(PipelineImage& image, const InferJob& job) {
  if (!image.result.error) {
    ImageResult drawing;
    keep_error(drawing,
               [&] { job.overlays.write(image.file.listed, *image.pixels, image.result); });
    image.result.error = drawing.error;
    image.result.error_code = drawing.error_code;
  }
  image.line = to_json_line(job.header, image.result, image.file.stamp);
}

/// The images of a plan, from the one that comes first.
class PlannedImages {
 public:
  PlannedImages(const InferJob& job, const WorkerPlan& plan)
      : plan_(plan), source_(std::span(job.images).subspan(plan.first)), next_(plan.first) {}

  /// Up to the image `end`.
  bool take(PipelineImage& image, uint64_t end) {
    if (next_ == end) return false;
    plan_.progress->taken = next_ + 1;
    image.index = next_++;
    image.file = std::move(*source_.next());
    image.result.path = image.file.listed.path;
    const auto failed = plan_.failed.find(image.index);
    if (failed != plan_.failed.end()) {
      image.file.stamp = stamp_of(image.file.listed.path);
      image.result.error = failed->second;
    }
    return true;
  }

 private:
  const WorkerPlan& plan_;
  ImageSource source_;
  uint64_t next_;
};

void work(InferJob& job, const WorkerPlan& plan, CommandContext& context) {
  const auto interrupt = [&job] { job.output.interrupt(job.header, job.prompts.all()); };
  set_stop_action(interrupt);
  const std::vector<int> devices = devices_for(job.files, job.options.devices);
  const size_t images_left = job.images.size() - plan.first;
  // Never destroyed: a worker works once and ends, and the system takes everything back at once.
  static auto* const kModel =
      new ModelRunners(job.files, job.options.load, devices, job.prompts.all(), images_left);
  ModelRunners& model = *kModel;
  PlannedImages images(job, plan);
  ResultSink sink(job, context, *plan.progress, images_left);
  uint64_t end = 0;
  PipelineSteps steps;
  steps.take = [&](PipelineImage& image) { return images.take(image, end); };
  steps.load = [&](PipelineImage& image) {
    load_image(image, job.prompts.of(image.file.listed.path), 4 * job.files.config.grid);
  };
  steps.run = model.steps(
      [&](const PipelineImage& image) -> const ImageAsk& {
        return job.prompts.of(image.file.listed.path);
      },
      job.options.thresholds);
  steps.finish = [&](PipelineImage& image) { finish_image(image, job); };
  steps.write = [&](PipelineImage& image) { sink.write(image); };
  if (plan.first < plan.one_by_one) {
    end = plan.one_by_one;
    run_pipeline(steps, {.threads = 1, .batch = 1, .images = 1});
  }
  end = job.images.size();
  const size_t batch =
      job.options.batch == 0 ? model.max_images() : std::min(job.options.batch, model.max_images());
  run_pipeline(steps, {.threads = job.options.io_threads, .batch = batch});
  sink.end();
  // From here on the document is as complete as it will be.
  job.output.finish(job.header, job.prompts.all(), job.document);
  set_stop_action({});
}

/// What is known of the job's failure, and what the user can do.
void say_what_is_kept(const InferJob& job) {
  if (!job.output.is_resumable() || job.images.size() < 2) return;
  std::cerr << "sam3trt: the results so far are kept; the same command with --resume goes on\n";
}

}  // namespace

void run_infer_job(InferJob& job, CommandContext& context) {
  job.output.start();
  if (job.images.empty()) {
    job.output.finish(job.header, job.prompts.all(), job.document);
    return job.output.close();
  }
  WorkerPlan plan;
  if (const std::optional<int> exit_code = run_worker(plan)) {
    job.output.close();
    context.exit_code = *exit_code;
    return;
  }
  job.output.leave_to_parent();
  try {
    work(job, plan, context);
  } catch (...) {
    say_what_is_kept(job);
    throw;
  }
}

}  // namespace sam3trt
