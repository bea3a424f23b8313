#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"
#include "checkpoint/config.hpp"

namespace sam3trt {

/// A contiguous row-major tensor inside a checkpoint; valid as long as its Checkpoint.
struct WeightView {
  DType dtype = DType::kF32;  ///< kF32, kF16, kBF16 or kF64.
  Shape shape;
  std::span<const std::byte> bytes;

  /// All values as float: exactly, those of kF64 rounded to nearest even.
  [[nodiscard]] std::vector<float> to_f32() const;
};

/// A tensor of which some values are NaN or infinite as float32.
struct NonFiniteWeight {
  std::string name;  ///< As the file names it.
  Shape shape;       ///< As the file has it.
  int64_t count = 0;
  int64_t first = 0;  ///< Row-major index of the first such value.
};

/// A SAM 3 checkpoint, memory-mapped: a Hugging Face folder (config.json, model.safetensors or its
/// shards) or Meta's `sam3.pt`, whatever training wrapped around the names of its tensors.
///
/// Tensors have one internal naming, which is that of Hugging Face's image model `Sam3Model`
/// (`vision_encoder.backbone.layers.0.attention.q_proj.weight`), whatever the format; packed
/// attention weights of Meta's format appear split, its position embedding without the CLS row.
class Checkpoint {
 public:
  /// Opens and checks a checkpoint: a folder, its weight file (config.json lies beside it), an
  /// index of shards, or a `.pt` file. Sizes come from config.json for Hugging Face's names and
  /// from tensor shapes for Meta's (config_shapes.hpp). `semantics` overrides what the format says
  /// (a Hugging Face folder is kHf, `sam3.pt` is kMeta). Throws Error(kBadInput) that says what the
  /// file is when it is something else, counts *all* missing, unknown and wrong-shaped tensors, or
  /// names the field of a configuration that cannot be expressed. Which of several models in one
  /// file was taken is logged.
  static Checkpoint open(const std::filesystem::path& path,
                         std::optional<Semantics> semantics = std::nullopt);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  [[nodiscard]] const Sam3Config& config() const;

  /// Folder that may hold the tokenizer (the checkpoint's own folder).
  [[nodiscard]] const std::filesystem::path& folder() const;

  /// The tensor of that internal name; throws Error(kInternal) when there is none, because open()
  /// has checked the full list.
  [[nodiscard]] WeightView weight(std::string_view name) const;

  [[nodiscard]] bool has(std::string_view name) const;

  /// The weights that the graphs use of which some values are not finite, by name. Reads all of
  /// them (a fraction of a second per gigabyte that is in memory).
  [[nodiscard]] std::vector<NonFiniteWeight> non_finite_weights() const;

  /// Throws Error(kBadInput) that names them, if there are any.
  void check_finite() const;

  /// SHA-256 over the bytes of the weight file, or over the shards in the order of their names.
  /// Computed on the first call (about one second per gigabyte).
  [[nodiscard]] const std::string& sha256() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sam3trt
