#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jobs/image_pipeline.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/request.hpp"
#include "sam3trt/session.hpp"

namespace sam3trt {

struct ModelFiles;

/// What one image is asked.
struct ImageAsk {
  std::vector<Prompt> prompts;
  std::vector<ObjectPrompt> objects{};
  bool multimask = false;  ///< InteractOptions::multimask
  std::optional<EverythingOptions> everything{};
};

/// What an image is asked; valid as long as the runners are used.
using AskOf = std::function<const ImageAsk&(const PipelineImage&)>;

/// One model on each of some devices, with as many sessions as keep a device busy: on a GPU two,
/// so that one's host work and copies hide behind the other's kernels; on the CPU one, which uses
/// all processors; never more than there are images.
class ModelRunners {
 public:
  /// Loads the model; throws as Model's constructor does. `texts`: all that will be asked for.
  /// `images`: at most so many will come.
  ModelRunners(const ModelFiles& files, const LoadOptions& options, std::span<const int> devices,
               std::span<const Prompt> texts, size_t images);

  /// A step of the pipeline for each session (PipelineSteps::run), which looks in images for what
  /// they are asked; valid as long as this object.
  [[nodiscard]] std::vector<std::function<void(std::span<PipelineImage* const>)>> steps(
      const AskOf& ask_of, const Thresholds& thresholds);

  [[nodiscard]] size_t max_images() const { return models_.front().max_images(); }
  [[nodiscard]] const std::string& backend() const { return models_.front().backend(); }
  [[nodiscard]] size_t sessions() const { return sessions_.size(); }

 private:
  std::vector<Model> models_;
  std::vector<Session> sessions_;
};

/// "0", "1,3" or "all": the GPUs that it names. Throws Error(kBadInput) for anything else or one
/// that is named twice; "all" throws Error(kUnavailable) when there is no GPU.
[[nodiscard]] std::vector<int> parse_devices(const std::string& text);

/// What parse_devices() says for engines; graphs run on the CPU, whatever GPUs there are: one that
/// means it.
[[nodiscard]] std::vector<int> devices_for(const ModelFiles& files, const std::string& text);

}  // namespace sam3trt
