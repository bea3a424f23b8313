#pragma once

#include <cstdint>

namespace sam3trt {

/// IEEE 754 binary16 to float; exact, NaN payloads kept.
[[nodiscard]] float f16_to_f32(uint16_t bits);

/// bfloat16 to float; exact.
[[nodiscard]] float bf16_to_f32(uint16_t bits);

/// float to binary16, rounding to nearest even; overflow gives infinity.
[[nodiscard]] uint16_t f32_to_f16(float value);

/// float to bfloat16, rounding to nearest even; overflow gives infinity.
[[nodiscard]] uint16_t f32_to_bf16(float value);

}  // namespace sam3trt
