#pragma once

#include <cstdint>

namespace sam3trt {

/// float to FP8 E4M3 without infinities (OCP 8-bit floating point specification; ONNX
/// FLOAT8E4M3FN), rounding to nearest even; values beyond 448 become 448. NaN gives NaN.
[[nodiscard]] uint8_t f32_to_e4m3(float value);

/// Largest finite value of FP8 E4M3.
inline constexpr float kLargestE4m3 = 448.0F;

}  // namespace sam3trt
