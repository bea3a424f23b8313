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
    {"torch._utils", "_rebuild_parameter_with_state", Callable::kParameter, "", kNoType},
    {"torch._tensor", "_rebuild_from_type_v2", Callable::kFromType, "", kNoType},
    {"collections", "defaultdict", Callable::kDefaultDict, "", kNoType},
    {"collections", "Counter", Callable::kDefaultDict, "", kNoType},
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
    {"torch", "float8_e4m3fnuz", Callable::kDType, "Float8_e4m3fnuz", kNoType, 1},
    {"torch", "float8_e5m2fnuz", Callable::kDType, "Float8_e5m2fnuz", kNoType, 1},
    {"torch", "float8_e8m0fnu", Callable::kDType, "Float8_e8m0fnu", kNoType, 1},
    {"torch", "complex128", Callable::kDType, "ComplexDouble", kNoType, 16},
});

// What training programs save beside a state dict: settings, metrics, paths, times. Nothing of it
// is executed or kept; naming the modules keeps the rest refused by name.
constexpr auto kInertModules = std::to_array<std::string_view>({
    "argparse",
    "datetime",
    "easydict",
    "lightning.fabric.utilities.data",
    "lightning.pytorch.utilities.parsing",
    "numpy",
    "numpy._core.multiarray",
    "numpy.core.multiarray",
    "numpy.dtypes",
    "numpy.random._pickle",
    "omegaconf.base",
    "omegaconf.dictconfig",
    "omegaconf.listconfig",
    "omegaconf.nodes",
    "pathlib",
    "pathlib._local",
    "pytorch_lightning.utilities.parsing",
    "types",
    "typing",
    "yacs.config",
    "_codecs",
});

struct InertName {
  std::string_view module;
  std::string_view name;
};

constexpr auto kInertNames = std::to_array<InertName>({
    {"torch", "Size"},
    {"torch", "device"},
    {"torch", "Tensor"},
    {"torch._utils", "_rebuild_device_tensor_from_numpy"},
    {"torch.nn.parameter", "Parameter"},
    {"builtins", "set"},
    {"builtins", "frozenset"},
    {"builtins", "complex"},
    {"builtins", "slice"},
    {"builtins", "bytearray"},
    {"builtins", "list"},
    {"builtins", "dict"},
    {"builtins", "int"},
    {"builtins", "float"},
    {"builtins", "str"},
    {"builtins", "bool"},
    {"builtins", "tuple"},
    {"__builtin__", "set"},
    {"__builtin__", "frozenset"},
    {"__builtin__", "complex"},
    {"__builtin__", "slice"},
    {"__builtin__", "bytearray"},
    {"__builtin__", "list"},
    {"__builtin__", "dict"},
    {"__builtin__", "int"},
    {"__builtin__", "float"},
    {"__builtin__", "str"},
    {"__builtin__", "bool"},
    {"__builtin__", "tuple"},
});

constexpr Global kInert{"", "", Callable::kInert, "", kNoType};

bool is_inert(std::string_view module, std::string_view name) {
  return std::ranges::find(kInertModules, module) != kInertModules.end() ||
         std::ranges::any_of(kInertNames, [&](const InertName& row) {
           return row.module == module && row.name == name;
         });
}

}  // namespace

const Global* find_global(std::string_view module, std::string_view name) {
  const auto* found = std::ranges::find_if(kGlobals, [&](const Global& global) {
    return global.module == module && global.name == name;
  });
  if (found != kGlobals.end()) return found;
  return is_inert(module, name) ? &kInert : nullptr;
}

}  // namespace sam3trt::pickle
