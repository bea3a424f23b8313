#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "sam3trt/export.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/request.hpp"

namespace sam3trt {

/// What the vision encoder makes of images, on the model's device until this object goes. Usable in
/// every session of the model, in several at a time; move-only.
class SAM3TRT_API Features {
 public:
  ~Features();
  Features(Features&&) noexcept;
  Features& operator=(Features&&) noexcept;
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  /// Images that were encoded together.
  [[nodiscard]] size_t images() const;

  /// Memory of the device that they take.
  [[nodiscard]] size_t size_bytes() const;

 private:
  friend class Session;
  class Impl;
  explicit Features(std::unique_ptr<const Impl> impl);

  std::unique_ptr<const Impl> impl_;
};

/// Works with a model: a stream, execution contexts and buffers, which are cheap beside the model's
/// weights. One call at a time, from any thread; several sessions of one model work side by side
/// and give the same results as one alone. A call that throws leaves the session as it was.
class SAM3TRT_API Session {
 public:
  explicit Session(Model model);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// One result per request, in their order; `path` and `timings_ms.decode` are left to the caller.
  /// An image's features are computed once for all its prompts, and texts that were seen before are
  /// not encoded again. An image for which an engine gives non-finite numbers has an `error` and no
  /// prompts. Throws Error(kBadInput), before anything runs, for an image that cannot be, a prompt
  /// that asks for nothing, a box outside its image or more boxes than the model takes.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const DetectOptions& options = {});

  /// At most Model::max_images() images. Returns when the features are computed.
  [[nodiscard]] Features encode(std::span<const ImageView> images);

  /// What run() gives for the images of the features: `prompts` has one list for each of them.
  /// Throws as run() does, and Error(kBadInput) for features of another model.
  [[nodiscard]] std::vector<ImageResult> detect(const Features& features,
                                                std::span<const std::span<const Prompt>> prompts,
                                                const DetectOptions& options = {});

  /// What clicks, boxes and masks point at: one list of objects for each image of the features,
  /// results in `objects` in the same order. All objects of an image go through the model together;
  /// further calls with the same features cost the decoder only. Throws Error(kBadInput), before
  /// anything runs, for a model without the components of clicks, features of another model, a
  /// prompt that points at nothing or outside its image, or a mask of another size.
  [[nodiscard]] std::vector<ImageResult> interact(
      const Features& features, std::span<const std::span<const ObjectPrompt>> objects,
      const InteractOptions& options = {});

  /// For a caller that knows all its texts: encodes those of these prompts and gives up the text
  /// encoder; other texts are then Error(kBadInput). False, and nothing is done, on the CPU and for
  /// more texts than are kept (512).
  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts);

  [[nodiscard]] const Model& model() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sam3trt
