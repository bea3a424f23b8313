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
  DType dtype = DType::kF32;  ///< kF32, kF16 or kBF16.
  Shape shape;
  std::span<const std::byte> bytes;

  /// All values as float, exactly.
  [[nodiscard]] std::vector<float> to_f32() const;
};

/// A SAM 3 checkpoint, memory-mapped: a Hugging Face folder (config.json, model.safetensors or its
/// shards) or Meta's `sam3.pt`.
///
/// Tensors have one internal naming, which is that of Hugging Face's image model `Sam3Model`
/// (`vision_encoder.backbone.layers.0.attention.q_proj.weight`), whatever the format; packed
/// attention weights of Meta's format appear split, its position embedding without the CLS row.
class Checkpoint {
 public:
  /// Opens and checks a checkpoint: a folder, its weight file (config.json lies beside it), an
  /// index of shards, or a `.pt` file. Sizes come from config.json for Hugging Face's names and
  /// from tensor shapes for Meta's (config_shapes.hpp). `semantics` overrides what the format says
  /// (a Hugging Face folder is kHf, `sam3.pt` is kMeta). Throws Error(kBadInput) that lists *all*
  /// missing, unknown and wrong-shaped tensors, or the field of config.json that cannot be
  /// expressed.
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

  /// SHA-256 over the bytes of the weight file, or over the shards in the order of their names.
  /// Computed on the first call (about one second per gigabyte).
  [[nodiscard]] const std::string& sha256() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sam3trt
