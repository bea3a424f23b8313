#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// What `build` is asked for. Each names the type of the large matrix products; a recipe says which
/// parts stay wider (docs/precision.md).
enum class Precision { kFp32, kFp16, kBf16, kFp8 };

/// "fp32", "fp16", "bf16", "fp8".
[[nodiscard]] std::string_view name_of(Precision precision);

/// One line of a recipe: nodes it speaks of, and the type they compute in.
struct TypeRule {
  std::string nodes;          ///< Path pattern (see matches_path); empty: every node.
  std::string op;             ///< ONNX operator; empty: every operator.
  std::optional<DType> type;  ///< kF32, kF16 or kBF16; none: the type of the node's inputs.
};

/// Which node of which component computes in which type.
struct Recipe {
  std::string name;
  Precision precision = Precision::kFp32;
  DType low = DType::kF32;  ///< The narrow type of this recipe: kF16, kBF16, or kF32 for fp32.
  /// Per component, the first rule that fits a node decides. A node without a rule computes in
  /// float32, or keeps the type of its input when it only moves data.
  std::map<std::string, std::vector<TypeRule>> rules;
  /// Types of graph inputs and outputs that are not float32, by tensor name.
  std::map<std::string, DType> io;
  /// Per component, patterns of the MatMul nodes whose factors are quantised to FP8 (E4M3).
  std::map<std::string, std::vector<std::string>> fp8;

  /// Per component, patterns of the parts that this program's own kernels compute
  /// (precision/fusion.hpp); others are left to TensorRT.
  std::map<std::string, std::vector<std::string>> fused;

  /// Per component, the same for products that cuBLASLt computes. Where it is not installed, a
  /// recipe with such products is not for this component; and it is for no other component, for
  /// which the next one says the same.
  std::map<std::string, std::vector<std::string>> products;

  /// Compute capabilities ("9.0") of GPUs on which `products` are known to be faster than the next
  /// recipes; on others both are built and timed. Not part of sha256: the engine is the same.
  std::set<std::string> faster_on;

  /// Components whose float32 matrix products and convolutions may run as TF32: factors rounded to
  /// 10 bits of mantissa as float16 has them, the range and the sums those of float32.
  std::set<std::string> tf32;

  /// The same without `fused` and `products`: only operators that every ONNX program knows.
  [[nodiscard]] Recipe with_standard_operators() const;

  /// Whether graphs of this component need a calibration.
  [[nodiscard]] bool quantises(const std::string& component) const {
    return fp8.contains(component);
  }

  /// Hash of all of the above but `faster_on`, so that an engine can tell which recipe made it.
  [[nodiscard]] std::string sha256() const;

  /// This recipe with the nodes of these patterns in float32, for a repair of named blocks.
  [[nodiscard]] Recipe with_f32_nodes(const std::vector<std::string>& patterns) const;
};

/// The recipes of every precision, from the fastest to the safest.
class RecipeBook {
 public:
  /// The book inside the program (configs/precision/recipes.json).
  static RecipeBook builtin();

  /// A book of the user's own. Throws Error(kBadInput) with everything that is wrong in it.
  static RecipeBook load(const std::filesystem::path& path);

  /// Reads a book from text; `where` names it in errors.
  static RecipeBook parse(std::string_view text, const std::string& where);

  /// At least one; the first is the default, each next one is a safer repair.
  [[nodiscard]] const std::vector<Recipe>& variants(Precision precision) const;

  /// Throws Error(kBadInput) that lists the known names.
  [[nodiscard]] const Recipe& find(std::string_view name) const;

 private:
  std::map<Precision, std::vector<Recipe>> variants_;
};

/// Whether `path` fits `pattern`: "*" stands for any characters but "/", "**" for any characters,
/// everything else for itself.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

}  // namespace sam3trt
