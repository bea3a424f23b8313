#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt::pickle {

/// The classes and functions a state dict, or what training saves beside it, may name.
enum class Callable {
  kOrderedDict,
  kDefaultDict,
  kRebuildV2,
  kRebuildV3,
  kFromType,
  kParameter,
  kStorage,
  kDType,
  kInert,  ///< A class of settings or numbers (argparse.Namespace); its objects are not looked at.
};

struct Global {
  std::string_view module;
  std::string_view name;
  Callable callable;
  std::string_view dtype_name;  ///< Of kStorage and kDType; empty for the untyped storage.
  std::optional<DType> dtype;
  uint64_t item_size = 0;
};

/// The global of that name, or null when it is none of those. All inert ones are one global.
[[nodiscard]] const Global* find_global(std::string_view module, std::string_view name);

enum class Kind : uint8_t {
  kNone,
  kBool,
  kInteger,
  kFloat,
  kText,
  kBytes,
  kTuple,
  kList,
  kDict,
  kGlobal,
  kStorage,
  kTensor,
  kInert,
};

/// One object. Objects refer to each other by number, so that shared and cyclic ones need no care.
struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;              ///< kBool, kInteger; of kStorage and kTensor, its index.
  std::string_view text;           ///< kText.
  std::vector<uint32_t> items;     ///< kTuple, kList; of kDict, keys and values in turn.
  const Global* global = nullptr;  ///< kGlobal.
};

}  // namespace sam3trt::pickle
