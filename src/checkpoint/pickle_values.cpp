#include "checkpoint/pickle_values.hpp"

#include <algorithm>
#include <array>

namespace sam3trt::pickle {
namespace {

constexpr std::optional<DType> kNoType;

// torch/storage.py (typed storage classes), torch/_utils.py, torch/serialization.py.
constexpr auto kGlobals = std::to_array<Global>({
    {"collections", "OrderedDict", Callable::kOrderedDict, "", kNoType},
    {"torch._utils", "_rebuild_tensor_v2", Callable::kRebuildV2, "", kNoType},
    {"torch._utils", "_rebuild_tensor_v3", Callable::kRebuildV3, "", kNoType},
    {"torch._utils", "_rebuild_parameter", Callable::kParameter, "", kNoType},
    {"torch.storage", "UntypedStorage", Callable::kStorage, "", kNoType, 1},
    {"torch", "UntypedStorage", Callable::kStorage, "", kNoType, 1},
    {"torch", "FloatStorage", Callable::kStorage, "Float", DType::kF32, 4},
    {"torch", "HalfStorage", Callable::kStorage, "Half", DType::kF16, 2},
    {"torch", "BFloat16Storage", Callable::kStorage, "BFloat16", DType::kBF16, 2},
    {"torch", "DoubleStorage", Callable::kStorage, "Double", DType::kF64, 8},
    {"torch", "ComplexFloatStorage", Callable::kStorage, "ComplexFloat", DType::kC64, 8},
    {"torch", "ComplexDoubleStorage", Callable::kStorage, "ComplexDouble", kNoType, 16},
    {"torch", "LongStorage", Callable::kStorage, "Long", DType::kI64, 8},
    {"torch", "IntStorage", Callable::kStorage, "Int", DType::kI32, 4},
    {"torch", "ShortStorage", Callable::kStorage, "Short", DType::kI16, 2},
    {"torch", "CharStorage", Callable::kStorage, "Char", DType::kI8, 1},
    {"torch", "ByteStorage", Callable::kStorage, "Byte", DType::kU8, 1},
    {"torch", "BoolStorage", Callable::kStorage, "Bool", DType::kBool, 1},
    {"torch", "float32", Callable::kDType, "Float", DType::kF32, 4},
    {"torch", "float16", Callable::kDType, "Half", DType::kF16, 2},
    {"torch", "bfloat16", Callable::kDType, "BFloat16", DType::kBF16, 2},
    {"torch", "float64", Callable::kDType, "Double", DType::kF64, 8},
    {"torch", "complex64", Callable::kDType, "ComplexFloat", DType::kC64, 8},
    {"torch", "int64", Callable::kDType, "Long", DType::kI64, 8},
    {"torch", "int32", Callable::kDType, "Int", DType::kI32, 4},
    {"torch", "int16", Callable::kDType, "Short", DType::kI16, 2},
    {"torch", "int8", Callable::kDType, "Char", DType::kI8, 1},
    {"torch", "uint8", Callable::kDType, "Byte", DType::kU8, 1},
    {"torch", "uint16", Callable::kDType, "UInt16", kNoType, 2},
    {"torch", "uint32", Callable::kDType, "UInt32", kNoType, 4},
    {"torch", "uint64", Callable::kDType, "UInt64", kNoType, 8},
    {"torch", "bool", Callable::kDType, "Bool", DType::kBool, 1},
    {"torch", "float8_e4m3fn", Callable::kDType, "Float8_e4m3fn", kNoType, 1},
    {"torch", "float8_e5m2", Callable::kDType, "Float8_e5m2", kNoType, 1},
});

}  // namespace

const Global* find_global(std::string_view module, std::string_view name) {
  const auto* found = std::ranges::find_if(kGlobals, [&](const Global& global) {
    return global.module == module && global.name == name;
  });
  return found == kGlobals.end() ? nullptr : found;
}

}  // namespace sam3trt::pickle
