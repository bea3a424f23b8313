#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/kept_tensor.hpp"
#include "runtime/logit_plane.hpp"
#include "sam3trt/image_view.hpp"
#include "sam3trt/prompt.hpp"
#include "tracking/bit_mask.hpp"
#include "tracking/plane_work.hpp"

namespace sam3trt {

/// Sizes of a tracker that decisions need.
struct TrackSizes {
  int64_t image = 0;  ///< Pixels of a side of the model's input.
  int64_t grid = 0;   ///< Of the vision encoder.
  int64_t width = 0;  ///< Of an object pointer.
  int64_t memory_channels = 0;
  int64_t masks = 0;  ///< Of one run of the decoder: the single mask, then those of multimask.

  [[nodiscard]] bool operator==(const TrackSizes&) const = default;
  [[nodiscard]] int64_t mask_side() const { return 4 * grid; }
  [[nodiscard]] int64_t memory_mask_side() const { return 16 * grid; }
  [[nodiscard]] size_t memory_size() const {
    return static_cast<size_t>(grid * grid * memory_channels);
  }
};

/// Square mask logits in host memory, row-major.
using Logits = std::vector<float>;

/// A copy of a plane's numbers.
[[nodiscard]] inline Logits values_of(const LogitPlane& plane) {
  const auto values = plane.values();
  return {values.begin(), values.end()};
}

/// What the memory encoder made of one object on one frame: grid * grid tokens of
/// `memory_channels`, where the model keeps them.
using FrameMemory = std::shared_ptr<const KeptTensor>;
/// `width` numbers.
using ObjectPointer = std::shared_ptr<const std::vector<float>>;

/// What memory attention sees of the past of one object.
struct ObjectMemory {
  std::vector<FrameMemory> frames;
  std::vector<int64_t> times;  ///< Row of the temporal encoding for each frame.
  std::vector<ObjectPointer> pointers;
  std::vector<float> pointer_times;  ///< Signed distance, divided by the largest.
};

/// A token of the prompt encoder.
struct PromptToken {
  float x = 0;  ///< Pixels of the model's input.
  float y = 0;
  int64_t label = -1;  ///< -1: not a point, 0 and 1: negative and positive, 2 and 3: box corners.
};

/// Which features of the frame an object is decoded on.
enum class FrameFeatures {
  kRaw,       ///< As the neck gives them.
  kNoMemory,  ///< With the embedding that says that there is no memory.
  kMemory,    ///< After memory attention.
};

/// One object to decode on the current frame.
struct DecodeInput {
  FrameFeatures features = FrameFeatures::kNoMemory;
  ObjectMemory memory;  ///< For kMemory.
  std::vector<PromptToken> tokens;
  /// Empty, or a square mask of values 0..1 that is prompted with; the model resizes it to the side
  /// that the component mask_prompt takes.
  LogitPlane mask;
  int64_t mask_side = 0;
  Logits previous{};  ///< Empty, or mask_side * mask_side logits to refine; not beside `mask`.
  /// Whether the best of several masks counts, or the single one (choose_mask).
  bool multimask = true;
};

/// What the decoder says of one object: of the mask that counts for it.
struct ObjectView {
  LogitPlane mask;  ///< mask_side * mask_side; all kNoObjectLogit where there is no object.
  ObjectPointer pointer;
  float object_score = 0;  ///< Logit.
  float iou = 0;           ///< Predicted, of the mask.
};

/// What masks and memories of an object that is not there hold.
inline constexpr float kNoObjectLogit = -1024.0F;

struct DecodeOutput {
  ObjectView view;         ///< Without a mask for an object that a mask points at: it has that one.
  ObjectPointer absent{};  ///< That of an object that is not there.
};

/// A mask to remember; the model resizes it to memory_mask_side.
struct MemoryInput {
  LogitPlane mask;  ///< side * side.
  int64_t side = 0;
  /// Resized to the model's input first, without antialias, as masks that are remembered at once go
  /// there.
  bool through_image = false;
  bool binary = false;
  float object_score = 0;  ///< Logit: at most 0 for an object that is hidden.
};

/// A mask at the size of a frame.
struct FrameMask {
  std::vector<uint32_t> counts;  ///< Run lengths (image/rle.hpp).
  int64_t area = 0;
};

/// Where the masks of decoded objects come to: what is looked at or changed, to the host.
enum class MaskPlace { kHost, kModel };

/// What a text or boxes found on the current frame.
struct TrackerDetection {
  int64_t query = 0;
  float score = 0;
  LogitPlane mask;  ///< mask_side * mask_side.
  BitMask bits;     ///< Where it is above 0.
};

/// A mask and what most decisions need of it.
struct LogitMask {
  LogitMask() = default;
  explicit LogitMask(Logits values) : bits(values), logits(std::move(values)) {}
  LogitMask(LogitPlane values, BitMask above) : bits(std::move(above)), logits(std::move(values)) {}

  BitMask bits;  ///< Where the logits are above 0.
  LogitPlane logits;
};

/// The networks behind tracking, with numbers in host memory, but for memories and masks that are
/// only passed on. What is returned
/// belongs to the frame of the last encode(). Functions throw Error(kInternal) for numbers that are
/// not finite. Masks of PlaneWork are of mask_side * mask_side logits.
class TrackerModel : public PlaneWork {
 public:
  [[nodiscard]] virtual const TrackSizes& sizes() const = 0;

  /// Makes an image the current frame.
  virtual void encode(const ImageView& image) = 0;

  /// Of each concept its detections with a score above the threshold, by query; `size` are the
  /// width and height of the frame in pixels. Throws Error(kBadInput) for boxes that do not fit it.
  [[nodiscard]] virtual std::vector<std::vector<TrackerDetection>> detect(
      std::span<const Prompt> concepts, std::array<int64_t, 2> size, float threshold) = 0;

  [[nodiscard]] virtual std::vector<DecodeOutput> decode(std::span<const DecodeInput> objects,
                                                         MaskPlace masks) = 0;

  /// Masks of mask_side * mask_side logits without holes and specks of at most `max_area` pixels
  /// (clean_mask() of image/mask_cleanup.hpp).
  [[nodiscard]] virtual std::vector<LogitMask> clean(std::span<const LogitPlane> masks,
                                                     int64_t max_area) = 0;

  /// Masks of mask_side * mask_side logits on a frame of `size`, width and height in pixels:
  /// resized, inside where above 0.
  [[nodiscard]] virtual std::vector<FrameMask> frame_masks(std::span<const LogitPlane> logits,
                                                           std::array<int64_t, 2> size) = 0;

  [[nodiscard]] virtual std::vector<FrameMemory> remember(std::span<const MemoryInput> masks) = 0;

  /// A memory of another session of the same model, `memory_size` numbers in bfloat16.
  [[nodiscard]] virtual FrameMemory restore(std::span<const uint16_t> memory) = 0;
};

}  // namespace sam3trt
