#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "precision/calibration.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {

/// What the precision pass did to a graph.
struct TypedGraphReport {
  std::vector<std::filesystem::path> written;
  std::string graph_sha256;        ///< Of the nodes and their types, whatever the recipe is called.
  std::map<DType, int64_t> nodes;  ///< Floating-point nodes by the type they compute in.
  int64_t casts = 0;               ///< Cast nodes added.
  int64_t low_softmaxes = 0;       ///< Softmax nodes in a narrow type: attentions that can fuse.
  int64_t own_operators = 0;       ///< Nodes of base/own_operators.hpp.
  int64_t own_products = 0;        ///< Of these, those that cuBLASLt computes.
  int64_t fp8_products = 0;        ///< Matrix products with quantised factors.
  int64_t narrowed_weights = 0;    ///< Values of weights stored in a narrower type.
  int64_t flushed_weights = 0;     ///< Of these, how many not zero became zero.
  int64_t subnormal_weights = 0;   ///< Of these, how many lost digits as subnormal numbers.
  std::vector<std::string> unused;  ///< Rules of the recipe that no node needed, as text.
};

/// An operator of cuBLASLt in a typed graph (base/own_operators.hpp).
struct OwnProduct {
  std::string op;
  DType type = DType::kF16;
  bool fp8 = false;
  int64_t tokens = 0;                              ///< Rows of one image.
  std::vector<std::pair<int64_t, int64_t>> sizes;  ///< Inputs and outputs of each product in it.
};

/// Chooses the algorithm of each product in an operator; empty: it is left to the library.
using ProductAlgorithms =
    std::function<std::vector<std::array<uint64_t, 8>>(const OwnProduct& product)>;

/// Weights of up to so many bytes are in the graph's own file.
inline constexpr uint64_t kInlineLimitBytes = uint64_t{32} << 20;

/// Turns a float32 graph written by `export` into a strongly typed one: every node gets its type
/// from the recipe, Cast nodes stand where types meet, weights are stored in the type they are used
/// in (round to nearest even), and FP8 products get QuantizeLinear/DequantizeLinear pairs. One
/// weight is in memory at a time. Adds the metadata `sam3trt.precision`, `sam3trt.recipe` and
/// `sam3trt.recipe_sha256`. The same inputs give the same bytes.
///
/// `calibration` is needed when the recipe quantises nodes of this component. When the weights
/// exceed `inline_limit_bytes`, they go to `output`.data.
///
/// `algorithms` is asked for each operator of cuBLASLt, where it is given.
///
/// Throws Error(kBadInput) for a graph that `export` did not write, that has a type already, that
/// uses an operator this pass does not know, whose weights overflow the narrow type (naming them),
/// and for a calibration of another checkpoint or without some product.
TypedGraphReport write_typed_graph(const std::filesystem::path& input,
                                   const std::filesystem::path& output, const Recipe& recipe,
                                   const Calibration* calibration = nullptr,
                                   uint64_t inline_limit_bytes = kInlineLimitBytes,
                                   const ProductAlgorithms& algorithms = {});

}  // namespace sam3trt
