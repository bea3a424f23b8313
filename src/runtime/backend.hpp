#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "components/components.hpp"
#include "runtime/kept_tensor.hpp"
#include "runtime/logit_plane.hpp"
#include "runtime/output_part.hpp"
#include "runtime/postprocess.hpp"
#include "runtime/prepared_call.hpp"
#include "runtime/resized_planes.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// What one prompt found.
struct PromptDetections {
  bool finite = true;  ///< False: the detector gave NaN or infinity, and nothing is found.
  float presence = 0;  ///< Probability.
  std::vector<Detection> detections;
};

/// A mask to be made: which plane of `pred_masks`, and the size of its image in pixels.
struct MaskPlane {
  size_t plane = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// A mask.
struct FoundMask {
  bool finite = true;  ///< False: the mask head gave NaN or infinity, and there is no mask.
  int64_t area = 0;
  std::vector<uint32_t> counts{};  ///< Run lengths (image/rle.hpp).
  DeviceMask bits{};
};

/// A mask without small holes and specks.
struct CleanedPlane {
  LogitPlane plane;
  std::vector<uint64_t> bits;  ///< Where it is above 0, as of bits_above().
};

/// What is wrong with a plane of NaN or infinity.
inline constexpr const char* kBrokenPlane = "a followed object has non-finite numbers in its mask";

/// Which pixels of resized logits are inside a mask: those above 0, or those of a probability above
/// one half in single precision, which a logit just above 0 does not reach.
enum class LogitCut { kAboveZero, kProbable };

/// Outputs of the vision encoder that are kept, in the memory of a backend.
class FeatureStore {
 public:
  FeatureStore() = default;
  virtual ~FeatureStore() = default;
  FeatureStore(const FeatureStore&) = delete;
  FeatureStore& operator=(const FeatureStore&) = delete;

  /// Of this store and no other one of the process.
  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] virtual size_t size_bytes() const = 0;

 private:
  static uint64_t next_id() {
    static std::atomic<uint64_t> last = 0;
    return ++last;
  }

  uint64_t id_ = next_id();
};

/// What runs the components of a model: it keeps tensors by name, and a component finds its inputs
/// among them and leaves its outputs there, as the table of components says (src/components). One
/// call at a time. Work may be asynchronous until wait(); functions that return numbers wait.
class Backend {
 public:
  Backend() = default;
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  [[nodiscard]] virtual CallLimits limits() const = 0;

  /// Masks of one prompt in a call of the mask head for `count` that are wanted: at least so many.
  [[nodiscard]] virtual int64_t mask_slots(size_t count) const = 0;

  /// Throws Error(kBadInput) for texts, an image or a kind of masks that this backend cannot do.
  /// Queues nothing.
  virtual void check(const PreparedCall& call, MaskOutput masks) const = 0;
  virtual void check(const ImageView& image) const = 0;

  /// Before the first work of a call; waits for what an earlier failure left behind. Of the tensors
  /// of earlier calls those of the tracker's neck are still there.
  virtual void begin() = 0;
  /// Until all work is done.
  virtual void wait() = 0;
  /// After the last work of a call, which was waited for.
  virtual void end() = 0;
  /// After an exception: the backend is as it was before the call, and no work is left that could
  /// touch what the next call uses.
  virtual void recover() noexcept = 0;

  /// `pixel_values` of at most limits().images images.
  virtual void load_images(std::span<const ImageView> images) = 0;
  /// A tensor that the host made for `component`.
  virtual void put(Component component, const std::string& name, const Tensor& tensor) = 0;
  /// What `from` gave when it last ran, as an input of `component`; it stays where it is.
  virtual void put_output(Component component, const std::string& name, Component from,
                          const std::string& output) = 0;
  /// `text_features` of the rows; a text that was seen before is not encoded again.
  virtual void put_texts(const PromptBatch& batch, const PreparedCall& call) = 0;
  virtual void put_zeros(const std::string& name, const Shape& shape) = 0;
  /// The same of planes that are resized there: [planes, 1, side, side], as resize_planes() gives.
  virtual void put_resized(Component component, const std::string& name,
                           std::span<const ResizedPlane> planes, int64_t side) = 0;
  /// The size of an axis of an input that calls are best padded to, as other sizes cost time when
  /// they change; 0 where padding would only cost, and where there is no such input.
  [[nodiscard]] virtual int64_t padded_size(Component component, const std::string& input,
                                            size_t axis) = 0;
  /// Kept tensors of this backend one after another, as floats of the type that the component
  /// takes; zeros for null. Throws Error(kInternal) for those of another backend, and where they do
  /// not fill the shape.
  virtual void put_kept(Component component, const std::string& name,
                        std::span<const std::shared_ptr<const KeptTensor>> kept,
                        const Shape& shape) = 0;

  /// `sizes` are those of the component's tensors by symbol, with model_sizes().
  virtual void run(Component component, const AxisSizes& sizes) = 0;

  /// Parts of outputs of the last run of the component as float32 in host memory, and no more than
  /// those is copied; waits once. Throws Error(kInternal) when it did not run in this call, or has
  /// no such output or rows.
  [[nodiscard]] virtual std::vector<Tensor> read(Component component,
                                                 std::span<const OutputPart> parts) = 0;
  /// One whole output.
  [[nodiscard]] Tensor get(Component component, const std::string& output) {
    const OutputPart whole{output};
    return std::move(read(component, {&whole, 1}).front());
  }

  /// Each row of an output of the component's last run, rounded to nearest even; waits. All that a
  /// backend keeps has one size. Throws NonFiniteError for numbers that are not finite, and as
  /// get().
  [[nodiscard]] virtual std::vector<std::shared_ptr<const KeptTensor>> keep_rows(
      Component component, const std::string& output) = 0;
  /// Keeps numbers that another session kept; also outside of begin() and end().
  [[nodiscard]] virtual std::shared_ptr<const KeptTensor> restore(
      std::span<const uint16_t> values) = 0;

  /// Of the detector's outputs; `sizes[p]`: width and height in pixels of row p's image.
  [[nodiscard]] virtual std::vector<PromptDetections> detections(
      std::span<const std::array<int64_t, 2>> sizes, float threshold) = 0;

  /// Of the mask head's `planes` planes of side x side.
  [[nodiscard]] virtual std::vector<FoundMask> masks(std::span<const MaskPlane> wanted,
                                                     int64_t planes, int64_t side, float threshold,
                                                     MaskOutput output) = 0;

  /// Of the SAM decoder's `planes` masks of side x side: logits resized, inside where above 0.
  [[nodiscard]] virtual std::vector<FoundMask> object_masks(std::span<const MaskPlane> wanted,
                                                            int64_t planes, int64_t side) = 0;

  /// How many logits of some of the SAM decoder's masks of side x side are above `high`, and above
  /// `low`. Throws NonFiniteError for logits that are not finite.
  [[nodiscard]] virtual std::vector<std::array<int64_t, 2>> count_logits(
      std::span<const size_t> planes, int64_t side, float high, float low) = 0;

  /// Some masks of side x side of the SAM decoder or the mask head as they are, finite or not,
  /// where this backend uses them without a copy on the host.
  [[nodiscard]] virtual std::vector<LogitPlane> keep_planes(Component component,
                                                            std::span<const size_t> planes,
                                                            int64_t side) = 0;
  /// Where those are above 0: bit i % 64 of word i / 64 is that of logit i. Throws NonFiniteError
  /// for logits that are not finite.
  [[nodiscard]] virtual std::vector<std::vector<uint64_t>> bits_above(
      Component component, std::span<const size_t> planes, int64_t side) = 0;
  /// Planes of side x side logits as clean_mask() leaves them (image/mask_cleanup.hpp), where this
  /// backend uses them without a copy on the host. Waits. Throws NonFiniteError for logits that are
  /// not finite, but for those of components that were checked when they ran.
  [[nodiscard]] virtual std::vector<CleanedPlane> clean_planes(std::span<const LogitPlane> planes,
                                                               int64_t side, int64_t max_area) = 0;
  /// How many pixels each of some planes of as many logits wins, where every pixel goes to the
  /// highest logit above 0, the first of equals. Waits.
  [[nodiscard]] virtual std::vector<int64_t> won_areas(std::span<const LogitPlane> planes) = 0;
  /// Copies whose logits are at most `most`, where this backend uses them without a copy on the
  /// host.
  [[nodiscard]] virtual std::vector<LogitPlane> lowered_planes(std::span<const LogitPlane> planes,
                                                               float most) = 0;
  /// Logits of the host there; all planes that a backend keeps have one size.
  [[nodiscard]] virtual LogitPlane keep_plane(std::vector<float> logits) = 0;

  /// Of square planes of side x side logits, resized to an image of `size`, width and height in
  /// pixels.
  [[nodiscard]] virtual std::vector<FoundMask> logit_masks(std::span<const LogitPlane> planes,
                                                           int64_t side,
                                                           std::array<int64_t, 2> size,
                                                           LogitCut cut) = 0;

  /// The vision encoder's outputs (`vision_features` where the model has them), copied; and back to
  /// where components find them.
  [[nodiscard]] virtual std::unique_ptr<FeatureStore> keep_features() = 0;
  virtual void use_features(const FeatureStore& features) = 0;

  /// Encodes the texts and gives up the text encoder; false where that is not possible.
  [[nodiscard]] virtual bool keep_only_texts(const PreparedCall& texts) = 0;

  /// Counts what `work` takes on the device for one of the timings.
  virtual void timed(double Timings::*counter, const std::function<void()>& work) = 0;
  /// The times since the last call; all work must be done.
  [[nodiscard]] virtual Timings take_timings() = 0;
};

/// Throws Error(kBadInput): the model has no such component, which a task needs. `how` says how to
/// get it.
[[noreturn]] void throw_without(Component component, const std::string& how);

/// The output of the SAM decoder or the mask head that holds masks.
[[nodiscard]] const char* masks_of(Component component);

/// Sizes of a model by symbol (docs/graphs.md).
[[nodiscard]] AxisSizes model_sizes(const ModelConfig& config);

}  // namespace sam3trt
