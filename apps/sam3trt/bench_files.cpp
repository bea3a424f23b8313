#include "bench_files.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/output_check.hpp"
#include "base/temporary.hpp"
#include "jobs/image_list.hpp"
#include "jobs/image_pipeline.hpp"
#include "jobs/image_source.hpp"
#include "model_runners.hpp"
#include "overlay_writer.hpp"
#include "runtime/model_files.hpp"
#include "runtime/result.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

/// Decoded images that are kept for the runs from memory; more files than these take turns.
constexpr size_t kPixelImages = 64;

enum class From { kMemory, kFiles, kFilesWithOverlays };
constexpr std::array<std::pair<From, const char*>, 3> kSources = {
    {{From::kMemory, "pixels_in_memory"},
     {From::kFiles, "files"},
     {From::kFilesWithOverlays, "files_and_overlays"}}};

class FilesRun {
 public:
  FilesRun(const ModelFiles& files, const FilesBench& bench)
      : bench_(bench),
        images_(list_images(bench.files)),
        model_(files, bench.load, bench.devices, bench.prompts, images_.size()),
        ask_{{bench.prompts.begin(), bench.prompts.end()}},
        header_{model_.backend(), files.semantics, {}} {
    ImageSource source(images_);
    while (pixels_.size() < std::min(images_.size(), kPixelImages)) {
      ImageFile file = std::move(*source.next());
      pixels_.push_back(std::make_shared<Image>(decode_image_file(file)));
    }
  }

  /// Seconds for all images.
  double run(From from) {
    std::optional<TemporaryFolder> folder;
    std::filesystem::path target;
    if (from == From::kFilesWithOverlays) {
      target = folder.emplace(std::filesystem::temp_directory_path()).path() / "overlays";
    }
    OutputCheck check;
    const OverlayWriter overlays(target, images_, check);
    ImageSource source(images_);
    size_t taken = 0;
    PipelineSteps steps;
    steps.take = [&](PipelineImage& image) {
      if (taken == images_.size()) return false;
      image.file.listed = images_[taken];
      image.result.path = images_[taken].path;
      if (from == From::kMemory) image.pixels = pixels_[taken % pixels_.size()];
      if (from != From::kMemory) image.file = std::move(*source.next());
      ++taken;
      return true;
    };
    steps.load = [&](PipelineImage& image) {
      if (image.pixels) return;
      image.pixels = std::make_shared<Image>(decode_image_file(image.file));
    };
    steps.run = model_.steps([this](const PipelineImage&) -> const ImageAsk& { return ask_; },
                             bench_.thresholds);
    steps.finish = [&](PipelineImage& image) {
      throw_if_failed(image.result);
      if (from == From::kMemory) return;
      overlays.write(image.file.listed, *image.pixels, image.result);
      image.line = to_json_line(header_, image.result, image.file.stamp);
    };
    steps.write = [&](PipelineImage& image) {
      for (const PromptResult& prompt : image.result.prompts) instances_ += prompt.instances.size();
    };
    instances_ = 0;
    const auto begin = Clock::now();
    run_pipeline(steps, {.threads = bench_.io_threads, .batch = batch()});
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  [[nodiscard]] size_t batch() const {
    return bench_.batch == 0 ? model_.max_images() : std::min(bench_.batch, model_.max_images());
  }
  [[nodiscard]] size_t images() const { return images_.size(); }
  [[nodiscard]] size_t sessions() const { return model_.sessions(); }
  [[nodiscard]] size_t instances() const { return instances_; }
  [[nodiscard]] const std::string& backend() const { return model_.backend(); }

 private:
  const FilesBench& bench_;
  std::vector<ListedImage> images_;
  ModelRunners model_;
  ImageAsk ask_;
  RunHeader header_;
  std::vector<std::shared_ptr<const Image>> pixels_;
  size_t instances_ = 0;
};

double rounded(double value) { return std::round(value * 100) / 100; }

}  // namespace

nlohmann::ordered_json bench_files(const ModelFiles& files, const FilesBench& bench) {
  FilesRun run(files, bench);
  std::array<std::vector<double>, kSources.size()> speeds;
  for (size_t round = 0; round <= bench.rounds; ++round) {
    for (size_t i = 0; i < kSources.size(); ++i) {
      const double seconds = run.run(kSources[i].first);
      if (round > 0) speeds[i].push_back(static_cast<double>(run.images()) / seconds);
    }
  }
  Json json = {{"backend", run.backend()},     {"images", run.images()},
               {"instances", run.instances()}, {"devices", bench.devices},
               {"sessions", run.sessions()},   {"batch", run.batch()},
               {"rounds", bench.rounds}};
  for (size_t i = 0; i < kSources.size(); ++i) {
    std::ranges::sort(speeds[i]);
    json[kSources[i].second] = {{"images_per_s", rounded(speeds[i][speeds[i].size() / 2])},
                                {"lowest", rounded(speeds[i].front())},
                                {"highest", rounded(speeds[i].back())}};
  }
  return json;
}

void print_files_bench(const nlohmann::ordered_json& result) {
  std::cout << result.at("images") << " images in " << result.at("backend").get<std::string>()
            << ", " << result.at("sessions") << " sessions, batches of " << result.at("batch")
            << "; images per second, median of " << result.at("rounds") << " rounds\n";
  for (const auto& [from, name] : kSources) {
    std::string label = name;
    std::ranges::replace(label, '_', ' ');
    label.resize(20, ' ');
    const Json& speed = result.at(name);
    std::array<char, 96> line{};
    std::snprintf(line.data(), line.size(), "%s%10.2f   (%.2f to %.2f)\n", label.c_str(),
                  speed.at("images_per_s").get<double>(), speed.at("lowest").get<double>(),
                  speed.at("highest").get<double>());
    std::cout << line.data();
  }
}

}  // namespace sam3trt
