#pragma once

namespace sam3trt {

/// Whose behaviour is reproduced where Meta's code and Hugging Face's port differ: LayerNorm
/// epsilon of the vision encoder, the CLS token of text-only prompts, the presence clamp, the order
/// of sigmoid and resize, the padding token.
enum class Semantics { kHf, kMeta };

}  // namespace sam3trt
